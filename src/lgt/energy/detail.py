"""What inference gives back of the photo, given back before the energy looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

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


class DetailedFeatures:
    """Feature maps of outputs that hold a share of what the codec lost of their photos.

    What inference does with `inference.detail`: `decode(x_1) + share luminance(photo -
    decode(x_src))`. The network then neither paints what the photo brings back nor is blamed for
    what the codec loses.

    Args:
        decoder: Decodes and looks.
        photos: Gives the pictures `[B, 3, H, W]` of sources, by their rows in the bank.
        luminance: Maps pictures to `[B, 1, H, W]`; the colours are the style's.
        share: In [0, 1].
    """

    def __init__(
        self,
        decoder: Decoder,
        photos: Callable[[Int[Tensor, " B"]], Tensor],
        luminance: Callable[[Tensor], Tensor],
        share: float,
    ) -> None:
        self.decoder, self.photos, self.luminance = decoder, photos, luminance
        self.share = share

    def __call__(
        self,
        x_1: Float[Tensor, "B C h w"],
        x_src: Float[Tensor, "B C h w"],
        index: Int[Tensor, " B"],
        window: Window,
    ) -> tuple[Maps, Maps]:
        """Return the maps of outputs and of photos.

        Args:
            x_1: The part of the end states that is looked at.
            x_src: The same part of the sources.
            index: Rows of the sources in the bank.
            window: The part: rows and columns of latent positions.
        """
        with torch.no_grad():
            photos = self.photos(index)
            scale = photos.shape[-1] // window.width
            photos = sent(photos[(..., *window.slices(scale))], x_1.device)
            lost = self.luminance(photos - self.decoder.pictures(x_src))
            source_maps = self.decoder.features_of_pictures(photos)
        pictures = self.decoder.pictures(x_1) + self.share * lost
        return self.decoder.features_of_pictures(pictures), source_maps
