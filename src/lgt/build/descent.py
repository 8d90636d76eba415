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
    sights = _Sights(config, features, photo, detail)
    if not isinstance(features, DecodedFeatures):
        kept = content_terms(config, features)
        return PictureEnergy([sights(features, works, origin, kept, WINDOW, near, after)])
    more = {"structure": STRUCTURE, "clutter": calm * config.loss.clutter_gain}
    kept = content_terms(config, features, **more)
    found = [sights(features, works, origin, kept, WINDOW, near, after)]
    height, width = photo.shape[-2:]
    side = min(height // DECODED_SCALE, width // DECODED_SCALE, MOST_AFAR)
    if side > WINDOW and works.afar is not None and origin.afar is not None:
        kept = [term for term in kept if isinstance(term, SeenContent)]
        view = FromAfar(features, _afar_side(side, whole))
        found.append(sights(view, works.afar, origin.afar, kept, side, afar, after))
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
    short, long = sorted(length // DECODED_SCALE for length in photo.shape[-2:])
    if not isinstance(features, DecodedFeatures) or works.afar is None or origin.afar is None:
        return None
    if short <= WINDOW or long > LONGEST * short or short * long > MOST_POSITIONS:
        return None
    more = {"structure": STRUCTURE, "clutter": LEARNED_CALM * config.loss.clutter_gain}
    terms = content_terms(config, features, **more)
    kept = [term for term in terms if isinstance(term, SeenContent)]
    view = FromAfar(features, _afar_side(short, whole))
    sights = _Sights(config, features, photo, detail, looks=1)
    return PictureEnergy([sights(view, works.afar, origin.afar, kept, long, LEARNED)])


def _afar_side(short: int, whole: int | None) -> int:
    """Return the pixels from afar of a short side in latent positions."""
    return round(AFAR_SIDE if whole is None else AFAR_SIDE * short * DECODED_SCALE / whole)


@dataclass(frozen=True)
class _Sights:
    """Builds what a picture's energy is from a distance."""

    config: Config
    features: PerceptualFeatures
    photo: Float[Tensor, "1 3 H W"]
    detail: float
    looks: int = REMEMBERED
    """At the whole picture, that the moments remember; 1: and always of the same part."""

    def __call__(
        self,
        view: PerceptualFeatures | FromAfar,
        works: WorksGaussians,
        origin: WorksGaussians,
        kept: Sequence[Term],
        window: int,
        demand: Demand,
        after: PictureEnergy | None = None,
    ) -> Sight:
        loss = self.config.loss
        style = None if after is None else after.positions.get(window)
        if style is None:
            height, width = (length // DECODED_SCALE for length in self.photo.shape[-2:])
            num_windows = len(windows_of(height, width, torch.Generator(), side=window))
            style = Positions(
                works,
                origin,
                num_branches=self.features.num_branches,
                memory=num_windows * max(self.looks, demand.pictures),
                gain=loss.collection_gain,
            )
        seen = None
        if not isinstance(view, LatentPerceptualNetwork):
            levels = (255 * self.photo).round().to(torch.uint8)  # Which it was made of.
            photos = GivenPictures(levels, DECODED_SCALE)
            look = OnePicture if self.looks == 1 else DetailedFeatures
            seen = look(view, photos, luminance, self.detail)
        energy = FreeEnergy(
            [style, *kept],
            w_style=loss.w_style,
            w_content=demand.content * loss.w_content,
            look=Look(view.features, detail=seen, sources=self.features.content),
        )
        return Sight(energy, window, remembers=demand.pictures > 1)
