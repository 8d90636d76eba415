"""What inference gives back of the photo, given back before the energy looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lgt.device import sent
from lgt.energy.features import Maps, Window


@runtime_checkable
class Decoder(Protocol):
    """Decodes latents and looks at pictures, as :class:`lgt.nn.DecodedFeatures`."""

    def pictures(self, x: Tensor) -> Tensor:
        """Decode scaled latents `[B, C, h, w]` to pictures in about [0, 1]."""
        ...

    def features_of_pictures(self, images: Tensor) -> Maps:
        """Look at pictures `[B, 3, H, W]`."""
        ...

    def content_of_pictures(self, images: Tensor) -> Maps:
        """Look at them for what is kept of sources alone."""
        ...


class Place(NamedTuple):
    """Where parts of sources lie in the data."""

    row: Int[Tensor, " B"]
    """Rows of the sources in the bank, on the CPU."""
    corner: Int[Tensor, "B 2"]
    """Rows and columns of their first latent positions, on the CPU."""

    def within(self, window: Window) -> Place:
        """Return the place of a window of these parts."""
        start = torch.tensor([window.rows.start, window.columns.start])
        return Place(self.row, self.corner + start)


Photos = Callable[[Int[Tensor, " B"], Int[Tensor, "B 2"], tuple[int, int]], Tensor]
"""Gives pictures `[B, 3, H, W]` of parts of sources, by their rows in the bank, their corners, and
their height and width in latent positions."""


class DetailedFeatures:
    """Feature maps of outputs that hold a share of what the codec lost of their photos.

    What inference does with `inference.detail`: `decode(x_1) + share luminance(photo -
    decode(x_src))`. The network then neither paints what the photo brings back nor is blamed for
    what the codec loses.

    Args:
        decoder: Decodes and looks.
        photos: Gives the pictures of parts of sources.
        luminance: Maps pictures to `[B, 1, H, W]`; the colours are the style's.
        share: In [0, 1].
    """

    def __init__(
        self,
        decoder: Decoder,
        photos: Photos,
        luminance: Callable[[Tensor], Tensor],
        share: float,
    ) -> None:
        self.decoder, self.photos, self.luminance = decoder, photos, luminance
        self.share = share

    def __call__(
        self,
        x_1: Float[Tensor, "B C h w"],
        x_src: Float[Tensor, "B C h w"],
        place: Place,
    ) -> tuple[Maps, Maps]:
        """Return the maps of outputs, and what is kept of photos.

        Args:
            x_1: The part of the end states that is looked at.
            x_src: The same part of the sources.
            place: Where that part lies.
        """
        lost, source_maps = self.of_sources(x_src, place)
        pictures = self.decoder.pictures(x_1) + self.share * lost
        return self.decoder.features_of_pictures(pictures), source_maps

    @torch.no_grad()
    def of_sources(
        self, x_src: Float[Tensor, "B C h w"], place: Place
    ) -> tuple[Float[Tensor, "B 1 H W"], Maps]:
        """Return what the codec lost of photos, in luminance, and what is kept of them."""
        height, width = x_src.shape[-2:]
        photos = sent(self.photos(place.row, place.corner, (height, width)), x_src.device)
        lost = self.luminance(photos - self.decoder.pictures(x_src))
        return lost, self.decoder.content_of_pictures(photos)


class OnePicture(DetailedFeatures):
    """The same where it is always one part of one picture that is looked at: its source, once."""

    _of_source: tuple[Tensor, Maps] | None = None

    def of_sources(
        self, x_src: Float[Tensor, "B C h w"], place: Place
    ) -> tuple[Float[Tensor, "B 1 H W"], Maps]:
        """Return what the first call found."""
        if self._of_source is None:
            self._of_source = super().of_sources(x_src, place)
        return self._of_source
