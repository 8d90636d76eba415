"""Distances between feature maps: distributions for the style, values in place for the content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.bank import Latents, StyleBank, parts_of
from lgt.energy.functional import (
    Lines,
    line_distances,
    promoted,
    random_directions,
)
from lgt.energy.terms import draw_columns
from lgt.energy.whitening import whitening_of
from lgt.exact import exact_matmul


@runtime_checkable
class Maps(Protocol):
    """Feature maps of a batch, as :class:`lgt.nn.FeatureMaps`."""

    @property
    def style(self) -> list[Tensor]:
        """Maps whose distributions are compared."""
        ...

    @property
    def content(self) -> list[Tensor]:
        """Maps that are compared position by position."""
        ...

    @property
    def edges(self) -> Tensor | None:
        """Edge strength `[B, 1, H, W]`, if the network sees the picture."""
        ...

    @property
    def outlines(self) -> Tensor | None:
        """The same of the picture at a smaller size."""
        ...

    @property
    def slopes(self) -> Tensor | None:
        """Gradient magnitude of the picture at a smaller size."""
        ...

    @property
    def shades(self) -> Tensor | None:
        """Luminance of the picture at a smaller size."""
        ...


Features = Callable[[Tensor], Maps]

CLUTTER_UNIT = 0.01
"""Slope, in luminance per pixel, that counts as 1: that of a faint shadow."""
STRUCTURE_SIDE = 7
"""Side of the squares whose shades are compared, in pixels of these."""
STRUCTURE_UNIT = 0.03
"""Deviation of luminance in such a square from which it has a structure, as in SSIM."""


class Window(NamedTuple):
    """A part of latents of some height and width."""

    rows: slice
    columns: slice
    height: int
    width: int

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Return rows and columns of what is `scale` times as large."""
        rows, columns = (
            slice(scale * part.start, scale * part.stop) for part in (self.rows, self.columns)
        )
        return rows, columns

    def of(self, x: Tensor) -> Tensor:
        """Cut latents `[B, C, H, W]`."""
        return x[(..., *self.slices())]


def draw_window(side: int, generator: Generator | None, height: int, width: int) -> Window:
    """Draw a square of `side` positions; the whole where that is 0 or larger than the latents."""
    if not side or side >= min(height, width):
        return Window(slice(0, height), slice(0, width), height, width)
    top, left = (
        int(torch.randint(size - side + 1, (1,), generator=generator)) for size in (height, width)
    )
    return Window(slice(top, top + side), slice(left, left + side), height, width)


def cropped(side: int, generator: Generator | None, *latents: Tensor) -> tuple[Tensor, ...]:
    """Return the same random square of some latents `[B, C, H, W]`; all of them where it is 0."""
    height, width = latents[0].shape[-2:]
    window = draw_window(side, generator, height, width)
    return tuple(window.of(x) for x in latents)


def feature_distance(
    maps: Sequence[Float[Tensor, "B _ _ _"]], source_maps: Sequence[Float[Tensor, "B _ _ _"]]
) -> Float[Tensor, " B"]:
    """Return `1 - cosine` of the feature vectors at each position, averaged: in [0, 2].

    The mean is taken over positions, then over layers. Unrelated pictures are near 1.
    """
    values = [
        1 - F.cosine_similarity(promoted(a), promoted(b), dim=1).mean(dim=(1, 2))
        for a, b in zip(maps, source_maps, strict=True)
    ]
    return torch.stack(values).mean(0)


def edge_difference(
    x: Float[Tensor, "B 1 H W"], y: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Return 1 - Pearson correlation of two batches of edge maps, in [0, 2].

    0 for equal outlines, whatever their strength; about 1 for unrelated ones.
    """
    a, b = (m.flatten(1) - m.flatten(1).mean(1, keepdim=True) for m in (x, y))
    scale = a.square().sum(1) * b.square().sum(1)
    return 1 - (a * b).sum(1) / (scale + 1e-16).sqrt()


def clutter(x: Float[Tensor, "B 1 H W"], y: Float[Tensor, "B 1 H W"]) -> Float[Tensor, " B"]:
    """Return the mean square of slopes that a source has not, in units of `CLUTTER_UNIT`.

    Up to twice the steepest slope of the source nearby is free: contrast may grow and outlines may
    move a little. 0 for a copy; the square lets grain pass and a streak not.

    Args:
        x: Gradient magnitudes of outputs.
        y: Those of the sources.
    """
    free = 2 * F.max_pool2d(y, 5, stride=1, padding=2)
    return ((x - free).clamp(min=0) / CLUTTER_UNIT).square().mean((1, 2, 3))


def structure_difference(
    x: Float[Tensor, "B 1 H W"], y: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Return 1 - correlation of two batches of shades in small squares, averaged, in [0, 2].

    Squares of `y` count by their variance: strokes are free where the source is plain, and what is
    small and has its shape, such as an eye, counts as much as what is large. Contrast and
    brightness hardly matter; near 0 for a copy.

    References:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004,
        eq. 10 (structure), https://doi.org/10.1109/TIP.2003.819861
    """

    def mean(z: Tensor) -> Tensor:
        return F.avg_pool2d(z, STRUCTURE_SIDE, stride=1)

    a, b = mean(x), mean(y)
    own, other = ((mean(z * z) - m * m).clamp(min=0) for z, m in ((x, a), (y, b)))
    together = mean(x * y) - a * b
    unit = STRUCTURE_UNIT**2
    floor = unit / 16  # A faint square finds its way slowly.
    agreement = together / ((own + floor) * (other + floor)).sqrt()
    return (other / (other + unit) * (1 - agreement)).mean((1, 2, 3))


class FeatureSWD:
    """Squared sliced Wasserstein distance between feature maps of outputs and features of works.

    The network looks at each work once, when this object is made, and a sample of points is kept.
    Features are whitened over all styles, as texture patches are.

    Args:
        features: Maps latents to feature maps.
        bank: The works.
        points_per_work: Positions kept of each work and layer, at most; 64 points of the six layers
            of `LatentPerceptualNetwork` take 63 KB a work.
        num_projections: Random directions per layer and call.
        crop: Side of the random square that is looked at, in latent positions; 0 is the whole.

    References:
        Heitz et al., A Sliced Wasserstein Loss for Neural Texture Synthesis, 2021,
        https://arxiv.org/abs/2006.07229 (the distance on features of a classifier)
    """

    def __init__(
        self,
        features: Features,
        bank: StyleBank,
        *,
        points_per_work: int = 64,
        num_projections: int = 64,
        crop: int = 0,
    ) -> None:
        self.num_projections = num_projections
        self.points = _points_of(features, bank.latents, points_per_work, crop)
        self.whitenings: list[Float[Tensor, "C C"]] = []
        fewest = min(len(members) for members in bank.members)
        balanced = torch.cat([members[:fewest] for members in bank.members])
        for points in self.points:
            cloud = promoted(points[balanced.to(points.device)]).transpose(1, 2).flatten(0, 1)
            self.whitenings.append(whitening_of(cloud - cloud.mean(0)))

    def __call__(
        self,
        maps: Sequence[Float[Tensor, "G _ _ _"]],
        rows: Int[Tensor, "#G K"],
        generator: Generator | None = None,
    ) -> Float[Tensor, " G"]:
        """Compare the points of each map with those of K works; summed over layers.

        Args:
            maps: Of each layer; outputs that shall be pooled lie side by side in one map.
            rows: For each map, works as rows of the bank.
            generator: CPU generator of directions and positions.
        """
        return torch.stack(line_distances(self.lines(maps, rows, generator))).sum(0)

    def lines(
        self,
        maps: Sequence[Float[Tensor, "G _ _ _"]],
        rows: Int[Tensor, "#G K"],
        generator: Generator | None = None,
    ) -> list[Lines]:
        """Return, for each layer, the values of outputs and of works along each direction."""
        rows, found = sent(rows, maps[0].device), []
        for layer, kept, whitening in zip(maps, self.points, self.whitenings, strict=True):
            theta = random_directions(layer.shape[1], self.num_projections, generator)
            theta = sent(theta.to(whitening.dtype), whitening.device)
            directions = exact_matmul(whitening, theta).T
            works = promoted(kept[rows]).transpose(1, 2).flatten(2)
            target = exact_matmul(directions, works)
            points = draw_columns(promoted(layer).flatten(2), target.shape[-1], generator)
            found.append((exact_matmul(directions, points), target))
        return found


@torch.no_grad()
def _points_of(
    features: Features, latents: Latents, points_per_work: int, crop: int = 0
) -> list[Float[Tensor, "N _ _"]]:
    """Return points of each layer and latent, evenly spread, in half precision."""
    layers: list[list[Tensor]] = []
    generator = Generator().manual_seed(0)
    for part in parts_of(latents, 8 if crop else 32):
        maps = features(*cropped(crop, generator, part)).style
        layers = layers or [[] for _ in maps]
        for points, layer in zip(layers, maps, strict=True):
            flat = layer.flatten(2)
            step = max(1, flat.shape[-1] // points_per_work) | 1
            # An odd step walks all columns of an even width.
            points.append(flat[..., ::step][..., :points_per_work].to(torch.bfloat16))
    return [torch.cat(points) for points in layers]
