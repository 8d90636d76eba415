"""Builds a free energy from numbers: which terms there are, and what they are measured against."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Generator, Tensor

from lgt.energy.bands import Matching, StyleBands
from lgt.energy.bank import StyleBank
from lgt.energy.collection import Collection, CollectionDistance
from lgt.energy.content import SeenContent, Topology
from lgt.energy.detail import DetailedFeatures
from lgt.energy.features import Features, FeatureSWD
from lgt.energy.free_energy import FreeEnergy, Look
from lgt.energy.guards import Identity, Kinetic
from lgt.energy.state import Term
from lgt.energy.terms import PatchSWD, SelfSimilarity
from lgt.energy.whitening import texture_whitening
from lgt.errors import InputError


@dataclass(frozen=True)
class EnergyWeights:
    """Weights and gains; see `LossConfig` for the meaning of each."""

    w_style: float = 1.0
    w_content: float = 1.0
    texture_gain: float = 1.0
    color_gain: float = 1.0
    feature_gain: float = 0.0
    collection_gain: float = 0.0
    discriminant_gain: float = 0.0
    recognition_gain: float = 0.0
    content_gain: float = 1.0
    feature_content_gain: float = 0.0
    edge_gain: float = 0.0
    outline_gain: float = 0.0
    clutter_gain: float = 0.0
    w_identity: float = 0.0
    vel_reg_weight: float = 0.0


def build_free_energy(
    bank: StyleBank,
    weights: EnergyWeights,
    *,
    style_bands: str = "split",
    patch_size: int = 3,
    patch_dilations: tuple[int, ...] = (1,),
    num_projections: int = 64,
    max_samples: int = 4096,
    content_patch_size: int = 1,
    content_scales: tuple[int, ...] = (1,),
    max_positions: int = 1024,
    content_centered: bool = False,
    matching: Matching | None = None,
    statistics_works: int = 64,
    features: Features | None = None,
    feature_crop: int = 0,
    collection: CollectionDistance | None = None,
    content_factors: Float[Tensor, " K"] | None = None,
    detail: DetailedFeatures | None = None,
    generator: Generator | None = None,
) -> FreeEnergy:
    """Build a :class:`FreeEnergy`, measuring whitening statistics on the bank where it is split.

    Args:
        statistics_works: Works of each style that the whitening statistics are taken over.
        features: Maps latents to feature maps, or None; needed if a feature gain is not 0.
        generator: CPU generator of the choice of those works.

    The other arguments are those of :class:`FreeEnergy` and its terms. In `raw` form patches are
    compared as they are, colour and texture together, as the texture term.
    """
    split = style_bands == "split"
    texture = []
    sample = bank.balanced(statistics_works, generator) if split else None
    for dilation in patch_dilations if weights.texture_gain else ():
        if (patch_size - 1) * dilation + 1 > min(bank.latents.shape[-2:]):
            continue
        transform = (
            None if sample is None else texture_whitening(sample, patch_size, dilation)
        )
        texture.append(
            PatchSWD(
                patch_size=patch_size,
                dilation=dilation,
                num_projections=num_projections,
                max_samples=max_samples,
                transform=transform,
            )
        )
    if not texture and weights.texture_gain:
        height, width = bank.latents.shape[-2:]
        raise InputError(
            f"latents of {height} x {width} are smaller than every patch (patch_size {patch_size}, "
            f"patch_dilations {list(patch_dilations)}); lower these, or use larger images"
        )
    seen = SeenContent(
        {
            "perceptual": weights.feature_content_gain,
            "edges": weights.edge_gain,
            "outlines": weights.outline_gain,
            "clutter": weights.clutter_gain,
        }
    )
    uses_features = bool(weights.feature_gain or seen.gains or collection is not None)
    if uses_features and features is None:
        raise InputError("a feature gain is above 0, but there is no feature network")
    feature = None
    if features is not None and weights.feature_gain:
        feature = FeatureSWD(features, bank, num_projections=num_projections, crop=feature_crop)
    color = PatchSWD(patch_size=1, num_projections=num_projections, max_samples=max_samples)
    terms: list[Term] = [
        StyleBands(
            bank,
            {
                "texture": weights.texture_gain,
                "color": weights.color_gain,
                "feature": weights.feature_gain,
            },
            texture=texture,
            color=color if split else None,
            feature=feature,
            matching=matching,
        )
    ]
    if collection is not None:
        gains = {
            "collection": weights.collection_gain,
            "discriminant": weights.discriminant_gain,
            "recognition": weights.recognition_gain,
        }
        terms.append(Collection(collection, gains))
    if weights.content_gain or not seen.gains:
        similarity = SelfSimilarity(
            patch_size=content_patch_size,
            scales=content_scales,
            max_positions=max_positions,
            is_centered=content_centered,
        )
        terms.append(Topology(similarity, weights.content_gain))
    if seen.gains:
        terms.append(seen)
    if weights.w_identity:
        terms.append(Identity(weights.w_identity))
    terms.append(Kinetic(weights.vel_reg_weight))
    return FreeEnergy(
        terms,
        w_style=weights.w_style,
        w_content=weights.w_content,
        look=Look(
            features if uses_features else None,
            crop=feature_crop,
            detail=detail,
            at_sources=bool(seen.gains),
        ),
        spares_own=weights.w_identity > 0,
        content_factors=content_factors,
    )
