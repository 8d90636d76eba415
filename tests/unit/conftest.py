"""The model inside the package, and what its energy looks with."""

from __future__ import annotations

import pytest

from lgt import LGTInference
from lgt.build.networks import build_perceptual_network
from lgt.nn.decoded import DecodedFeatures


@pytest.fixture(scope="module")
def lgt() -> LGTInference:
    """Return the model inside the package; tests of a module share it."""
    return LGTInference("embedded", "cpu")


@pytest.fixture(scope="module")
def features(lgt: LGTInference) -> DecodedFeatures:
    """Return what it looks with."""
    found = build_perceptual_network(lgt.config, lgt.codec_spec)
    assert isinstance(found, DecodedFeatures)
    return found
