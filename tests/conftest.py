"""Shared set-up: shape checks of the core, seeds, threads, and where the repository is."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes are annotations: they are checked here, and only here. This must come before the import.
install_import_hook(["lgt.energy", "lgt.dynamics", "lgt.nn"], "beartype.beartype")

import torch  # noqa: E402

settings.register_profile("lgt", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("lgt")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same state of the global generators."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(params=[True, False], ids=["bf16", "no bf16"])
def has_bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Make this processor one that computes in bfloat16, then one that does not."""
    has: bool = request.param
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has)
    return has


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded generator, as the library's functions take."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent
