"""The pictures that latents were made of, and parts of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lgt.errors import InputError
from lgt.image import IMAGE_SUFFIXES, open_image, resize_and_crop, to_tensor

KEPT_BYTES = 2**30
"""Memory for the squares of works, and as much for those of photos."""


class Squares:
    """Centred squares of pictures; each is read once, and kept with 8 bits while there is room.

    Args:
        size: Side in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept = lru_cache(max(1, KEPT_BYTES // (3 * size**2)))(self._read)

    def __call__(self, path: Path) -> UInt8[Tensor, "3 S S"]:
        """Return the square of a file, which is not to be written to.

        Raises:
            InputError: It can not be read.
        """
        return self._kept(path)

    def _read(self, path: Path) -> Tensor:
        image = resize_and_crop(open_image(path), self.size)
        return (to_tensor(image)[0] * 255).round().to(torch.uint8)


class SourcePictures:
    """Pictures by the position of their latents.

    Args:
        root: Folder of pictures as `lgt preprocess` read it, one folder per style.
        latents: Files of the latents, one folder per style; a latent has its picture's name.
        size: Side of the centred squares, in pixels.
        scale: Pixels along one side of a latent position.
    """

    def __init__(self, root: Path, latents: Sequence[Path], size: int, scale: int) -> None:
        self.root, self.latents, self.scale = root, latents, scale
        self.squares = Squares(size)

    def __call__(
        self, index: Int[Tensor, " B"], corner: Int[Tensor, "B 2"], size: tuple[int, int]
    ) -> Float[Tensor, "B 3 H W"]:
        """Return parts of pictures in [0, 1].

        Args:
            index: Positions of their latents.
            corner: Row and column of each part in its latent.
            size: Height and width of the parts, in latent positions.

        Raises:
            InputError: A latent has no picture, or one that can not be read.
        """
        squares = [self.squares(self._path(i)) for i in index.tolist()]
        return _parts(squares, corner, size, self.scale)

    def _path(self, index: int) -> Path:
        latent = self.latents[index]
        folder = self.root / latent.parent.name
        found = [folder / f"{latent.stem}{suffix}" for suffix in IMAGE_SUFFIXES]
        found += [path.with_suffix(path.suffix.upper()) for path in found]
        for path in found:
            if path.exists():
                return path
        raise InputError(
            f"loss.works_root: no picture of the latent {latent} in {folder}; name the folder that "
            "`lgt preprocess` read, or set loss.detail to 0"
        )


@dataclass(frozen=True)
class GivenPictures:
    """Pictures that are at hand, by the position of their latents."""

    pictures: UInt8[Tensor, "N 3 S T"]
    scale: int
    """Pixels along one side of a latent position."""

    def __call__(
        self, index: Int[Tensor, " B"], corner: Int[Tensor, "B 2"], size: tuple[int, int]
    ) -> Float[Tensor, "B 3 H W"]:
        """Return parts of pictures, as :class:`SourcePictures` does."""
        return _parts([self.pictures[i] for i in index.tolist()], corner, size, self.scale)


def _parts(
    pictures: Sequence[UInt8[Tensor, "3 S T"]],
    corner: Int[Tensor, "B 2"],
    size: tuple[int, int],
    scale: int,
) -> Float[Tensor, "B 3 H W"]:
    height, width = (scale * side for side in size)
    parts = [
        picture[:, top : top + height, left : left + width]
        for picture, (top, left) in zip(pictures, (scale * corner).tolist(), strict=True)
    ]
    return torch.stack(parts).float() / 255
