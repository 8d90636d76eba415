"""Set-up of the tests that run whole programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import warm_commands


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """Return a folder with `python` and `lgt`, warm where the system can fork."""
    if sys.platform == "win32":
        yield Path(sys.executable).parent
        return
    with warm_commands() as folder:
        yield folder
