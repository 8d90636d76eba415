"""Build the energy that one picture descends: the training's, with its windows as a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lgt.build.energy import content_terms
from lgt.build.networks import DECODED_SCALE, PerceptualFeatures
from lgt.config.schema import Config
from lgt.data.source_pictures import GivenPictures
from lgt.energy import FreeEnergy, Look, SeenContent, Term
from lgt.energy.descent import REMEMBERED, WINDOW, PictureEnergy, Positions, Sight, windows_of
from lgt.energy.detail import DetailedFeatures
from lgt.energy.works import WorksGaussians
from lgt.image.grey import luminance
from lgt.nn import LatentPerceptualNetwork
from lgt.nn.decoded import AFAR_SIDE, DecodedFeatures, FromAfar


@dataclass(frozen=True)
class Demand:
    """What is asked of a picture from one distance."""

    content: float
    """Factor of the content energy."""
    pictures: int = 1
    """How many make up what is compared with the works: this one, or the last ones of the style."""


NEAR = Demand(content=8.0)
"""A collection shares its colours and strokes out among many photos, one picture would find a place
for all of them. It is the same for all styles: what a style gives up of its photos so that a
network learns it (`loss.content_by_style`), a descent can keep."""
AFAR = Demand(content=10.0)
"""Where a whole face is as small as an eye is near by."""
STRUCTURE = 8.0
"""Gain of the structure of shades in it: faces stay whole."""
CALM = 4.0
"""Factor of `loss.clutter_gain` in it: one picture has plain places enough to fill with lines."""
MOST_AFAR = 128
"""Side in latent positions of what is seen from afar at once, at most: what bounds the memory."""


def build_picture_energy(
    config: Config,
    features: PerceptualFeatures,
    works: WorksGaussians,
    origin: WorksGaussians,
    photo: Float[Tensor, "1 3 H W"],
    *,
    detail: float,
    near: Demand = NEAR,
    afar: Demand = AFAR,
    calm: float = CALM,
    whole: int | None = None,
    after: PictureEnergy | None = None,
) -> PictureEnergy:
    """Build the free energy of one picture: of its windows, and of most of it from afar.

    Near by strokes are told, from afar the palette and the light: of a square of its short side,
    which lies where chance will, and is shrunk. Models that do not know how their
    works look from afar, and pictures that are hardly larger than a window, have windows alone.

    Args:
        config: The model's, whose `loss` weighs the terms.
        features: What the energy looks with.
        works: Gaussians of the style, K = 1.
        origin: Those of photos, K = 1.
        photo: The picture's source, in [0, 1].
        detail: Share of what the codec loses of it that is given back later.
        near: What is asked of its windows.
        afar: What is asked of it from afar.
        calm: Factor of `loss.clutter_gain`.
        whole: Short side in pixels of what `photo` is a part of; None: of itself.
        after: The energy of the one before, whose moments this one goes on with, where more than
            one picture is compared.
    """
    loss = config.loss
    height, width = (length // DECODED_SCALE for length in photo.shape[-2:])
    levels = (255 * photo).round().to(torch.uint8)  # Which it was made of.
    photos = GivenPictures(levels, DECODED_SCALE)

    def sight(
        view: PerceptualFeatures | FromAfar,
        works: WorksGaussians,
        origin: WorksGaussians,
        kept: Sequence[Term],
        window: int,
        demand: Demand,
    ) -> Sight:
        style = None if after is None else after.positions.get(window)
        if style is None:
            num_windows = len(windows_of(height, width, torch.Generator(), side=window))
            style = Positions(
                works,
                origin,
                num_branches=features.num_branches,
                memory=num_windows * max(REMEMBERED, demand.pictures),
                gain=loss.collection_gain,
            )
        seen = None
        if not isinstance(view, LatentPerceptualNetwork):
            seen = DetailedFeatures(view, photos, luminance, detail)
        energy = FreeEnergy(
            [style, *kept],
            w_style=loss.w_style,
            w_content=demand.content * loss.w_content,
            look=Look(view.features, detail=seen, sources=features.content),
        )
        return Sight(energy, window, remembers=demand.pictures > 1)

    if not isinstance(features, DecodedFeatures):
        kept = content_terms(config, features)
        return PictureEnergy([sight(features, works, origin, kept, WINDOW, near)])
    more = {"structure": STRUCTURE, "clutter": calm * loss.clutter_gain}
    kept = content_terms(config, features, **more)
    sights = [sight(features, works, origin, kept, WINDOW, near)]
    side = min(height, width, MOST_AFAR)
    if side > WINDOW and works.afar is not None and origin.afar is not None:
        kept = [term for term in kept if isinstance(term, SeenContent)]
        part = 1.0 if whole is None else side * DECODED_SCALE / whole
        view = FromAfar(features, round(part * AFAR_SIDE))
        sights.append(sight(view, works.afar, origin.afar, kept, side, afar))
    return PictureEnergy(sights)
