"""Build the energy that one picture descends: the training's, with its windows as a collection."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lgt.build.energy import content_terms
from lgt.build.networks import DECODED_SCALE, PerceptualFeatures
from lgt.config.schema import Config
from lgt.data.source_pictures import GivenPictures
from lgt.energy import FreeEnergy, Look
from lgt.energy.descent import REMEMBERED, Positions, windows_of
from lgt.energy.detail import DetailedFeatures
from lgt.energy.works import WorksGaussians
from lgt.image.grey import luminance
from lgt.nn.decoded import DecodedFeatures

CONTENT = 8.0
"""Factor of the content energy: a collection shares its colours and strokes out among many photos,
one picture would find a place for all of them. It is the same for all styles: what a style gives up
of its photos so that a network learns it (`loss.content_by_style`), a descent can keep."""
STRUCTURE = 8.0
"""Gain of the structure of shades in it: faces stay whole."""


def build_picture_energy(
    config: Config,
    features: PerceptualFeatures,
    works: WorksGaussians,
    origin: WorksGaussians,
    photo: Float[Tensor, "1 3 H W"],
    *,
    detail: float,
    content: float = CONTENT,
) -> FreeEnergy:
    """Build the free energy of the windows of one picture.

    Args:
        config: The model's, whose `loss` weighs the terms.
        features: What the energy looks with.
        works: Gaussians of the style, K = 1.
        origin: Those of photos, K = 1.
        photo: The picture's source, in [0, 1].
        detail: Share of what the codec loses of it that is given back later.
        content: Factor of the content energy.
    """
    loss = config.loss
    height, width = (side // DECODED_SCALE for side in photo.shape[-2:])
    num_windows = len(windows_of(height, width, torch.Generator()))
    style = Positions(
        works,
        origin,
        num_branches=features.num_branches,
        memory=REMEMBERED * num_windows,
        gain=loss.collection_gain,
    )
    seen, more = None, dict[str, float]()
    if isinstance(features, DecodedFeatures):
        more = {"structure": STRUCTURE}
        levels = (255 * photo).round().to(torch.uint8)  # Which it was made of.
        seen = DetailedFeatures(features, GivenPictures(levels, DECODED_SCALE), luminance, detail)
    return FreeEnergy(
        [style, *content_terms(config, features, **more)],
        w_style=loss.w_style,
        w_content=content * loss.w_content,
        look=Look(features.features, detail=seen, sources=features.content),
    )
