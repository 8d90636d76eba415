"""The photos as methods get them, and how results become what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from lgt.codec import LatentCodec
from lgt.image import open_image, to_image
from lgt.metrics.controls import cached_round_trip
from lgt.metrics.cuts import square
from lgt.metrics.features import Pictures


class Subjects(Protocol):
    """Photos to be painted, and the cuts of what is made of them: one for each view."""

    @property
    def names(self) -> Sequence[str]:
        """Of the photos, without suffix."""

    def photo(self, index: int) -> Image.Image:
        """Return a photo as it is painted."""

    def result(self, index: int, path: Path) -> Image.Image:
        """Read a method's result of a photo.

        Raises:
            InputError: It can not be read, or does not fit the photo.
        """

    def cut(self, index: int, picture: Image.Image) -> tuple[Pictures, ...]:
        """Return the squares `[K, 3, H, W]` of a photo, or of a result of it, for each view."""

    def round_trips(self, codec: LatentCodec, cache: Path | None) -> tuple[Pictures, ...]:
        """Return the photos after the codec for each view; `cache` keeps them."""


@dataclass(frozen=True)
class Squares:
    """Photos that are painted as squares of the size that is measured: a single view."""

    photos: Pictures
    names: Sequence[str]

    def photo(self, index: int) -> Image.Image:
        """Return a photo's square."""
        return to_image(self.photos[index].float() / 255)

    def result(self, index: int, path: Path) -> Image.Image:
        """Read a result of any size."""
        return open_image(path, min_side=self.photos.shape[-1])

    def cut(self, index: int, picture: Image.Image) -> tuple[Pictures, ...]:
        """Return the centred square."""
        return (square(picture, self.photos.shape[-1]),)

    def round_trips(self, codec: LatentCodec, cache: Path | None) -> tuple[Pictures, ...]:
        """Return the squares after the codec."""
        return (cached_round_trip(self.photos, codec, cache),)
