"""Feature maps of works, cut as the outputs of training are: all in turn, or drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.errors import InputError
from lgt.image import open_image, pictures_among, resize_and_crop, to_tensor, visible_files

BATCH = 8
DIVISOR = 8
"""Of the sides of pictures: the finest layers, at a quarter of the size, are stacked by 2 x 2."""
ROUNDS = 2
"""Crops of each work."""


class Maps(Protocol):
    """Feature maps of a batch."""

    @property
    def style(self) -> list[Tensor]:
        """Maps whose distributions are compared."""
        ...


Look = Callable[[Tensor], Maps]
Draw = Callable[[Tensor, Generator], list[Tensor]]
"""Feature maps of one random window of a random work of each of the styles `[N]` named."""


@torch.no_grad()
def latent_clips(
    look: Look, latents: Float[Tensor, "N C H W"], style_ids: Int[Tensor, " N"], crop: int
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Yield feature maps of crops of latents, and the styles, batch by batch.

    Args:
        look: Maps latents to feature maps.
        latents: Scaled latents.
        style_ids: Style of each.
        crop: Side of the crops, in latent positions; 0 is the whole.
    """
    generator = Generator().manual_seed(0)
    for _ in range(ROUNDS if crop else 1):
        for part, styles in zip(
            torch.split(latents, BATCH), torch.split(style_ids, BATCH), strict=True
        ):
            yield look(_cut(part, crop, generator)).style, styles


@torch.no_grad()
def picture_clips(
    look: Look,
    root: Path,
    style_names: Sequence[str],
    size: int,
    crop: int,
    *,
    margin: float = 0.0,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Yield feature maps of crops of pictures, and the styles, batch by batch.

    Args:
        look: Maps pictures `[B, 3, H, W]` in [0, 1] to feature maps.
        root: One folder of pictures per style; files that can not be read are left out.
        style_names: Names of the folders, in the order of the style ids.
        size: Side of the centred squares that are cut of the pictures, in pixels.
        crop: Side of the crops of these, in pixels; 0 is the whole.
        margin: Share of these squares left out at each side, below 0.5.
        device: Where `look` takes them.

    Raises:
        InputError: A style has no folder, or no picture in it that can be read.
    """
    generator = Generator().manual_seed(0)
    for style_id, name in enumerate(style_names):
        folder, found = root / name, 0
        paths = _pictures_in(folder)
        for start in range(0, len(paths), BATCH):
            images = _inner(_read(paths[start : start + BATCH], size), margin, crop)
            found += len(images)
            for _ in range(ROUNDS if crop else 1) if len(images) else ():
                styles = torch.full((len(images),), style_id)
                yield look(_cut(images, crop, generator).to(device)).style, styles
        if not found:
            raise _no_picture(name, folder)


def latent_draws(
    look: Look, latents: Float[Tensor, "N C H W"], style_ids: Int[Tensor, " N"], crop: int
) -> Draw:
    """Return what draws crops of latents; arguments as of :func:`latent_clips`."""
    rows = [torch.where(style_ids == k)[0] for k in range(int(style_ids.max()) + 1)]

    @torch.no_grad()
    def draw(styles: Int[Tensor, " N"], generator: Generator) -> list[Tensor]:
        chosen = [rows[k][_one_of(len(rows[k]), generator)] for k in styles.tolist()]
        cuts = [_cut(latents[row : row + 1], crop, generator) for row in map(int, chosen)]
        return look(torch.cat(cuts)).style

    return draw


def picture_draws(
    look: Look,
    root: Path,
    style_names: Sequence[str],
    size: int,
    crop: int,
    *,
    margin: float = 0.0,
    device: torch.device | str = "cpu",
) -> Draw:
    """Return what draws crops of pictures; arguments as of :func:`picture_clips`.

    Raises:
        InputError: When drawing: a style has no folder, or no picture in it that can be read.
    """
    paths = {style_id: _pictures_in(root / name) for style_id, name in enumerate(style_names)}

    def window(style_id: int, generator: Generator) -> Tensor:
        while paths[style_id]:
            index = _one_of(len(paths[style_id]), generator)
            images = _inner(_read([paths[style_id][index]], size), margin, crop)
            if len(images):
                return _cut(images, crop, generator)
            del paths[style_id][index]
        raise _no_picture(style_names[style_id], root / style_names[style_id])

    @torch.no_grad()
    def draw(styles: Int[Tensor, " N"], generator: Generator) -> list[Tensor]:
        cuts = [window(style_id, generator) for style_id in styles.tolist()]
        return look(torch.cat(cuts).to(device)).style

    return draw


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(pictures_among(visible_files(folder)))


def _no_picture(name: str, folder: Path) -> InputError:
    return InputError(
        f"loss.works_root: no picture of the style '{name}' in {folder}; name the folder that "
        "`lgt preprocess` read, or leave it empty"
    )


def _one_of(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _read(paths: Sequence[Path], size: int) -> Float[Tensor, "B 3 S S"]:
    images = []
    for path in paths:
        try:
            images.append(to_tensor(resize_and_crop(open_image(path), size)))
        except InputError:  # `lgt preprocess` reported it.
            continue
    return torch.cat(images) if images else torch.empty(0, 3, size, size)


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
