"""Feature maps of works, cut as the outputs of training are: all in turn, or drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.data.source_pictures import Squares
from lgt.device import sent
from lgt.energy.bank import Latents, parts_of
from lgt.errors import InputError
from lgt.image import pictures_among, visible_files

BATCH = 8
DIVISOR = 8
"""Of the sides of pictures: the finest layers, at a quarter of the size, are stacked by 2 x 2."""
MOST_TRIES = 100
"""Draws of a picture that can be read, until a style is said to have none."""
ROUNDS = 2
"""Crops of each work."""
MOST_WORKS = 100
"""Pictures of a style that are looked at in turn, evenly spread: their positions are hundreds of
thousands of points, and each takes a tenth of a second of a core."""


class Maps(Protocol):
    """Feature maps of a batch."""

    @property
    def style(self) -> list[Tensor]:
        """Maps whose distributions are compared."""
        ...


Look = Callable[[Tensor], Maps]
Counted = Callable[[int, int], None]
"""Told of works: how many are done, of how many."""
Clip = tuple[list[Tensor], Tensor]
"""Feature maps of some works, and the style of each."""


def uncounted(done: int, total: int) -> None:
    """Tell nobody."""


class Features(Protocol):
    """Looks at latents, and at pictures."""

    def features(self, x: Tensor) -> Maps:
        """Look at scaled latents `[B, C, h, w]`."""
        ...

    def features_of_pictures(self, images: Tensor) -> Maps:
        """Look at pictures `[B, 3, H, W]` in [0, 1]."""
        ...


class Works(Protocol):
    """What feature maps of works are taken of."""

    @property
    def side(self) -> int:
        """Of the works, whole but for their margin, in pixels."""
        ...

    def seen_by(self, features: Features) -> Works:
        """Return the same works, whole but for their margin, seen by other features."""
        ...

    def clips(self) -> Iterator[Clip]:
        """Yield those of all works in turn, batch by batch."""
        ...

    def draw(self, styles: Int[Tensor, " N"], generator: Generator) -> list[Tensor]:
        """Return those of one random crop of a random work of each of the styles named."""
        ...


@dataclass(frozen=True)
class LatentWorks:
    """Works of which only the latents are known."""

    look: Look
    """Maps latents to feature maps."""
    latents: Latents
    """Scaled, `[N, C, H, W]`."""
    style_ids: Int[Tensor, " N"]
    """Style of each."""
    crop: int
    """Side of the crops, in latent positions; 0 is the whole."""
    counted: Counted = uncounted
    """Is told of each batch of `clips`."""
    scale: int = 1
    """Pixels a position is decoded to, each way."""

    @property
    def side(self) -> int:
        """Of the works, in pixels."""
        return self.scale * min(self.latents.shape[-2:])

    def seen_by(self, features: Features) -> LatentWorks:
        """Return the same works, whole but for their margin, seen by other features."""
        return replace(self, look=features.features, crop=0)

    @torch.no_grad()
    def clips(self) -> Iterator[Clip]:
        """Yield feature maps of crops of all latents."""
        generator = Generator().manual_seed(0)
        rounds, done = ROUNDS if self.crop else 1, 0
        for _ in range(rounds):
            for part, styles in zip(
                parts_of(self.latents, BATCH), torch.split(self.style_ids, BATCH), strict=True
            ):
                yield self.look(_cut(part, self.crop, generator)).style, styles
                done += len(styles)
                self.counted(done, rounds * len(self.style_ids))

    @torch.no_grad()
    def draw(self, styles: Int[Tensor, " N"], generator: Generator) -> list[Tensor]:
        """Return feature maps of a random crop of each style named."""
        cuts = []
        for style_id in styles.tolist():
            rows = torch.where(self.style_ids == style_id)[0]
            row = int(rows[_one_of(len(rows), generator)])
            cuts.append(_cut(self.latents[row : row + 1], self.crop, generator))
        return self.look(torch.cat(cuts)).style


def pictures_in(root: Path, style_names: Sequence[str]) -> dict[str, list[Path]]:
    """Return the pictures in the folders of some styles, and in their sub-folders."""
    return {name: sorted(pictures_among(visible_files(root / name))) for name in style_names}


@dataclass(frozen=True)
class PictureWorks:
    """Works as pictures; files that can not be read are left out.

    Raises:
        InputError: When they are read: a style has no picture that can be read.
    """

    look: Look
    """Maps pictures `[B, 3, H, W]` in [0, 1] to feature maps."""
    pictures: Mapping[str, Sequence[Path]]
    """Files of each style by its name, in the order of the style ids."""
    squares: Squares
    """Cuts centred squares of them."""
    crop: int
    """Side of the crops of these, in pixels; 0 is the whole."""
    margin: float = 0.0
    """Share of these squares left out at each side, below 0.5."""
    device: torch.device | str = "cpu"
    """Where `look` takes them."""
    counted: Counted = uncounted
    """Is told of each batch of `clips`."""

    @property
    def side(self) -> int:
        """Of the works, whole but for their margin, in pixels."""
        return self.squares.size - 2 * int(self.margin * self.squares.size)

    def seen_by(self, features: Features) -> PictureWorks:
        """Return the same works, whole but for their margin, seen by other features."""
        return replace(self, look=features.features_of_pictures, crop=0)

    @torch.no_grad()
    def clips(self) -> Iterator[Clip]:
        """Yield feature maps of crops of the pictures, of at most `MOST_WORKS` of each style."""
        generator = Generator().manual_seed(0)
        done, total = 0, sum(min(len(paths), MOST_WORKS) for paths in self.pictures.values())
        for style_id in range(len(self.pictures)):
            paths, found = _spread(self._paths(style_id), MOST_WORKS), 0
            for start in range(0, len(paths), BATCH):
                images = self._squares(paths[start : start + BATCH])
                found += len(images)
                for _ in range(ROUNDS if self.crop else 1) if len(images) else ():
                    styles = torch.full((len(images),), style_id)
                    yield self._seen(_cut(images, self.crop, generator)), styles
                done += min(BATCH, len(paths) - start)
                self.counted(done, total)
            if not found:
                raise self._no_picture(style_id)

    @torch.no_grad()
    def draw(self, styles: Int[Tensor, " N"], generator: Generator) -> list[Tensor]:
        """Return feature maps of a random crop of each style named."""
        return self._seen(torch.cat([self._window(k, generator) for k in styles.tolist()]))

    def _paths(self, style_id: int) -> Sequence[Path]:
        return list(self.pictures.values())[style_id]

    def _window(self, style_id: int, generator: Generator) -> Tensor:
        paths = self._paths(style_id)
        # A damaged file is drawn again and again: which one is read depends on the draws alone.
        for _ in range(MOST_TRIES if paths else 0):
            images = self._squares([paths[_one_of(len(paths), generator)]])
            if len(images):
                return _cut(images, self.crop, generator)
        raise self._no_picture(style_id)

    def _squares(self, paths: Sequence[Path]) -> Float[Tensor, "B 3 S S"]:
        return _inner(self._read(paths), self.margin, self.crop)

    def _read(self, paths: Sequence[Path]) -> Float[Tensor, "B 3 S S"]:
        images = []
        for path in paths:
            try:
                images.append(self.squares(path))
            except InputError:  # `lgt preprocess` reported it.
                continue
        size = self.squares.size
        return torch.stack(images).float() / 255 if images else torch.empty(0, 3, size, size)

    def _seen(self, images: Tensor) -> list[Tensor]:
        return self.look(sent(images, torch.device(self.device))).style

    def _no_picture(self, style_id: int) -> InputError:
        name, paths = list(self.pictures.items())[style_id]
        seen = (
            f"none of {len(paths)} in {paths[0].parent} can be read" if paths else "there is none"
        )
        return InputError(
            f"no picture of the style '{name}' ({seen}); loss.works_root names the folder that "
            "`lgt preprocess` read, or is empty"
        )


def _spread(paths: Sequence[Path], most: int) -> Sequence[Path]:
    """Return at most so many, evenly spread from the first on."""
    if len(paths) <= most:
        return paths
    return [paths[i * len(paths) // most] for i in range(most)]


def _one_of(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _inner(images: Float[Tensor, "B 3 S S"], margin: float, crop: int) -> Float[Tensor, "B 3 T T"]:
    size = images.shape[-1]
    edge = int(margin * size)
    side = size - 2 * edge
    if not crop or side < crop:  # All of it is looked at, and layers halve it.
        side -= side % DIVISOR
        edge = (size - side) // 2
    return images[..., edge : edge + side, edge : edge + side]


def _cut(x: Tensor, side: int, generator: Generator) -> Tensor:
    height, width = x.shape[-2:]
    if not side or side >= min(height, width):
        return x
    top, left = (
        int(torch.randint(size - side + 1, (), generator=generator)) for size in (height, width)
    )
    return x[..., top : top + side, left : left + side].contiguous()
