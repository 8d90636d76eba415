"""Build the core's objects from a configuration: one function an object, no other logic."""

from __future__ import annotations

from lgt.build.energy import (
    build_bank,
    build_collection,
    build_critic,
    build_energy,
    build_works,
    content_terms,
    guard_terms,
    style_terms,
    target_shares,
)
from lgt.build.networks import (
    DECODED_SCALE,
    PerceptualFeatures,
    build_network,
    build_perceptual_network,
    uses_features,
)

__all__ = [
    "DECODED_SCALE",
    "PerceptualFeatures",
    "build_bank",
    "build_collection",
    "build_critic",
    "build_energy",
    "build_network",
    "build_perceptual_network",
    "build_works",
    "content_terms",
    "guard_terms",
    "style_terms",
    "target_shares",
    "uses_features",
]
