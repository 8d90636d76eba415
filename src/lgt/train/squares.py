"""Squares of photos at the size that a model was trained at, drawn by number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from lgt.errors import InputError
from lgt.image import open_image

SHORT_SIDES = (1.0, 1.125, 1.25)
"""Short sides of the photos that squares are cut from, in sides of a square: how large things are
on the canvas."""


@dataclass(frozen=True)
class PhotoSquares:
    """Squares of the photos of a list.

    Photos that can not be read are told once, and others take their place.
    """

    photos: Sequence[Path]
    side: int
    """Of a square, in pixels."""
    warn: Callable[[str], None]
    """Is told which photo is left out, and why."""
    _broken: set[Path] = field(default_factory=set)

    def square(self, number: int) -> tuple[Image.Image, int]:
        """Return a square, and the short side in pixels of the photo that it is a part of.

        Args:
            number: Decides which; the same number, the same square.

        Raises:
            InputError: The photos can not be read.
        """
        draw = random.Random(number)
        image = self._readable(draw)
        short = round(draw.choice(SHORT_SIDES) * self.side)
        scale = short / min(image.size)
        width, height = (max(self.side, round(scale * length)) for length in image.size)
        left, top = (draw.randint(0, length - self.side) for length in (width, height))
        box = (left, top, left + self.side, top + self.side)
        return image.resize((width, height)).crop(box), short

    def _readable(self, draw: random.Random) -> Image.Image:
        path = draw.choice(self.photos)
        if (image := self._opened(path)) is not None:
            return image
        for other in draw.sample(self.photos, len(self.photos)):
            if (image := self._opened(other)) is not None:
                return image
        raise InputError(
            f"none of the {len(self.photos)} photos can be read, such as {path}; name a folder of "
            "photographs"
        )

    def _opened(self, path: Path) -> Image.Image | None:
        """Return a photo; None where it can not be read, which is told once."""
        if path in self._broken:
            return None
        try:
            return open_image(path).convert("RGB")
        except InputError as error:
            self._broken.add(path)
            self.warn(f"left out: {error}")
            return None
