"""Build the energy that one picture descends: the training's, with its windows as a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from lgt.build.energy import content_terms
from lgt.build.networks import DECODED_SCALE, PerceptualFeatures
from lgt.config.schema import Config
from lgt.data.source_pictures import GivenPictures
from lgt.energy import FreeEnergy, Look, SeenContent, Term
from lgt.energy.descent import REMEMBERED, WINDOW, PictureEnergy, Positions, Sight, windows_of
from lgt.energy.detail import DetailedFeatures, OnePicture
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

    def times(self, factor: float) -> Demand:
        """Return the same with more content, or less."""
        return replace(self, content=factor * self.content)


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
LONGEST, MOST_POSITIONS = 4, 2**15
"""Of a picture that is seen from afar whole: its long side in short ones, since a strip is hardly
shrunk, and its latent positions, 2 million pixels; both bound the memory to that of a descent."""
LEARNED, LEARNED_CALM = Demand(content=5.0), 16.0
"""What learned steps are told of, the whole picture from afar, and the factor of its clutter. They
take the place of an optimizer, which pushes every latent about as far, wanted or not, and so needs
more content to hold against."""


def build_picture_energy(
    config: Config,
    features: PerceptualFeatures,
    works: WorksGaussians,
    origin: WorksGaussians,
    photo: Float[Tensor, "1 3 H W"],
    *,
    detail: float,
    near: Demand = NEAR,
    afar: Demand | None = AFAR,
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
        afar: What is asked of it from afar; None: nothing.
        calm: Factor of `loss.clutter_gain`.
        whole: Short side in pixels of what `photo` is a part of; None: of itself.
        after: The energy of the one before, whose moments this one goes on with, where more than
            one picture is compared.
    """
    sights = _Sights(config, features, works, origin, photo, detail, whole)
    found = [sights.near(near, calm, after)]
    side = min(*sights.positions, MOST_AFAR)
    if afar is not None and sights.is_seen_from_afar(side):
        found.append(sights.afar(side, afar, calm, after))
    return PictureEnergy(found)


def build_energy_from_afar(
    config: Config,
    features: PerceptualFeatures,
    works: WorksGaussians,
    origin: WorksGaussians,
    photo: Float[Tensor, "1 3 H W"],
    *,
    detail: float,
    whole: int | None = None,
) -> PictureEnergy | None:
    """Build what learned steps are told the gradient of: all of a picture, from afar.

    It keeps no moments: a step is told of the picture as it is. None where
    :func:`build_picture_energy` has windows alone, of strips, and of pictures that are too large.

    Args:
        config: The model's, whose `loss` weighs the terms.
        features: What the energy looks with.
        works: Gaussians of the style, K = 1.
        origin: Those of photos, K = 1.
        photo: The picture's source, in [0, 1].
        detail: Share of what the codec loses of it that is given back later.
        whole: Short side in pixels of what `photo` is a part of; None: of itself.
    """
    sights = _Sights(config, features, works, origin, photo, detail, whole, is_constant=True)
    short, long = sorted(sights.positions)
    if not sights.is_seen_from_afar(short):
        return None
    if long > LONGEST * short or short * long > MOST_POSITIONS:
        return None
    return PictureEnergy([sights.afar(long, LEARNED, LEARNED_CALM, None)])


@dataclass(frozen=True)
class _Sights:
    """Builds what the energy of a picture is from a distance."""

    config: Config
    features: PerceptualFeatures
    works: WorksGaussians
    origin: WorksGaussians
    photo: Float[Tensor, "1 3 H W"]
    detail: float
    whole: int | None
    is_constant: bool = False
    """Whether it is always the same part that is looked at, and what was seen before forgotten."""

    @property
    def positions(self) -> tuple[int, int]:
        """Height and width of the picture, in latent positions."""
        height, width = (length // DECODED_SCALE for length in self.photo.shape[-2:])
        return height, width

    def is_seen_from_afar(self, side: int) -> bool:
        """Tell whether a part of a short side is larger than a window, and how works look known."""
        is_known = self.works.afar is not None and self.origin.afar is not None
        return isinstance(self.features, DecodedFeatures) and is_known and side > WINDOW

    def near(self, demand: Demand, calm: float, after: PictureEnergy | None) -> Sight:
        """Return that of its windows."""
        kept = self._kept(calm)
        return self._sight(self.features, self.works, self.origin, kept, WINDOW, demand, after)

    def afar(self, side: int, demand: Demand, calm: float, after: PictureEnergy | None) -> Sight:
        """Return that of parts of a side, shrunk; only where it is seen so."""
        view = FromAfar(cast(DecodedFeatures, self.features), self._shrunk_side(side))
        works, origin = (cast(WorksGaussians, kept.afar) for kept in (self.works, self.origin))
        kept = [term for term in self._kept(calm) if isinstance(term, SeenContent)]
        return self._sight(view, works, origin, kept, side, demand, after)

    def _shrunk_side(self, side: int) -> int:
        """Return the short side in pixels of such a part from afar."""
        short = min(side, *self.positions) * DECODED_SCALE
        return AFAR_SIDE if self.whole is None else round(AFAR_SIDE * short / self.whole)

    def _kept(self, calm: float) -> list[Term]:
        more = {}
        if isinstance(self.features, DecodedFeatures):
            more = {"structure": STRUCTURE, "clutter": calm * self.config.loss.clutter_gain}
        return content_terms(self.config, self.features, **more)

    def _sight(
        self,
        view: PerceptualFeatures | FromAfar,
        works: WorksGaussians,
        origin: WorksGaussians,
        kept: Sequence[Term],
        window: int,
        demand: Demand,
        after: PictureEnergy | None,
    ) -> Sight:
        loss = self.config.loss
        style = None if after is None else after.positions.get(window)
        if style is None:
            num_windows = len(windows_of(*self.positions, torch.Generator(), side=window))
            looks = 1 if self.is_constant else REMEMBERED
            style = Positions(
                works,
                origin,
                num_branches=self.features.num_branches,
                memory=num_windows * max(looks, demand.pictures),
                gain=loss.collection_gain,
            )
        seen = None
        if not isinstance(view, LatentPerceptualNetwork):
            levels = (255 * self.photo).round().to(torch.uint8)  # Which it was made of.
            photos = GivenPictures(levels, DECODED_SCALE)
            look = OnePicture if self.is_constant else DetailedFeatures
            seen = look(view, photos, luminance, self.detail)
        energy = FreeEnergy(
            [style, *kept],
            w_style=loss.w_style,
            w_content=demand.content * loss.w_content,
            look=Look(view.features, detail=seen, sources=self.features.content),
        )
        return Sight(energy, window, remembers=demand.pictures > 1)
