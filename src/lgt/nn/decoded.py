"""DecodedFeatures: what an image classifier sees in the picture that a latent decodes to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.errors import InputError

LEAST_SIDE = 16
"""Pixels that leave a position to the coarsest layer."""

OUTLINE_POOL = 4
"""Factor by which a picture is shrunk before its outlines are taken: wider than a brush stroke."""

SLOPE_POOL = 2
"""The same of its slopes and shades: a crack is a few pixels wide, and so is an eye."""

AFAR_SIDE = 256
"""Short side in pixels of a picture from afar: that of a thumbnail."""
AFAR_MULTIPLE = 16
"""Of which its sides are multiples, so that the layers' positions come out even."""


@runtime_checkable
class Backbone(Protocol):
    """An image classifier that gives its layers."""

    def layers(self, images: Tensor) -> list[Tensor]:
        """Map pictures `[B, 3, H, W]` in [0, 1] to layers, the first at a quarter of the size."""
        ...


Shape = Callable[[Tensor], Tensor]
"""Maps pictures to where and how much they change, `[B, 1, H, W]`."""


@dataclass(frozen=True)
class PictureMaps:
    """What the energies compare of pictures; edges are taken of them when they are asked for.

    See :class:`lgt.nn.FeatureMaps`.
    """

    style: list[Tensor]
    content: list[Tensor]
    images: Float[Tensor, "B 3 H W"]
    strength: Shape
    slope: Shape
    shade: Shape

    @cached_property
    def edges(self) -> Float[Tensor, "B 1 H W"]:
        """Return the edge strength."""
        return self._shape(self.strength, 1)

    @cached_property
    def outlines(self) -> Float[Tensor, "B 1 h w"]:
        """Return that of the picture at a quarter of its size."""
        return self._shape(self.strength, OUTLINE_POOL)

    @cached_property
    def slopes(self) -> Float[Tensor, "B 1 h w"]:
        """Return the gradient magnitude of the picture at half of its size."""
        return self._shape(self.slope, SLOPE_POOL)

    @cached_property
    def shades(self) -> Float[Tensor, "B 1 h w"]:
        """Return the luminance of the picture at half of its size."""
        return self._shape(self.shade, SLOPE_POOL)

    def _shape(self, shape: Shape, pool: int) -> Tensor:
        with torch.autocast(self.images.device.type, enabled=False):
            images = self.images.float()
            return shape(F.avg_pool2d(images, pool) if pool > 1 else images)


class DecodedFeatures(nn.Module):
    """Decode a latent and look at the picture twice: as it is, and in grey of equal contrast.

    Exact where :class:`lgt.nn.LatentPerceptualNetwork` predicts, and slower: gradients run through
    the classifier and the decoder.

    Args:
        decoder: Module that maps scaled latents `[B, C, h, w]` to pictures `[B, 3, 8 h, 8 w]` in
            [-1, 1].
        backbones: The classifiers, modules. What several agree on is not the weakness of one.
        grey: Maps pictures to grey ones `[B, 1, H, W]` of equal mean and contrast.
        edges: Maps pictures to the strength of their edges `[B, 1, H, W]`.
        slopes: Maps pictures to the magnitude of their gradient `[B, 1, H, W]`.
        shades: Maps pictures to their luminance `[B, 1, H, W]`.
        is_reduced: Compute in bfloat16.

    References:
        Johnson et al., Perceptual Losses for Real-Time Style Transfer, 2016,
        https://arxiv.org/abs/1603.08155
    """

    def __init__(
        self,
        decoder: nn.Module,
        backbones: Sequence[Backbone],
        grey: Callable[[Tensor], Tensor],
        edges: Shape,
        slopes: Shape,
        shades: Shape,
        *,
        is_reduced: bool = True,
    ) -> None:
        super().__init__()
        frozen = decoder, nn.ModuleList(cast(Iterable[nn.Module], backbones))
        if is_reduced:  # Autocast would make bfloat16 of their weights at each call.
            frozen = tuple(copy.deepcopy(part).to(torch.bfloat16) for part in frozen)  # type: ignore[assignment]
        self.decoder, self.backbones = frozen
        self.grey, self.shapes = grey, (edges, slopes, shades)
        self.is_reduced = is_reduced

    @property
    def num_branches(self) -> int:
        """Views of a picture: each classifier's in colour and in grey."""
        return 2 * len(self.backbones)

    def features(self, x: Float[Tensor, "B C h w"]) -> PictureMaps:
        """Return all layers for the style, the coarser grey ones and the edges for the content."""
        return self.features_of_pictures(self.pictures(x))

    def pictures(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Decode; not clipped: a pixel that is out of range still has to find its way back."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.is_reduced):
            x = x.contiguous(memory_format=torch.channels_last)
            found: Tensor = (self.decoder(x).float() + 1) / 2
            return found

    def features_of_pictures(self, images: Float[Tensor, "B 3 H W"]) -> PictureMaps:
        """Return the layers of pictures in [0, 1] that need no decoding."""
        style: list[Tensor] = []
        content: list[Tensor] = []
        for layers in self._layers(images, lambda x: torch.cat([x, self._plain(x)])):
            color, plain = zip(*(layer.chunk(2) for layer in layers), strict=True)
            style += [*_grouped(color), *_grouped(plain)]
            content += _kept(plain)
        return PictureMaps(style, content, images, *self.shapes)

    def content(self, x: Float[Tensor, "B C h w"]) -> PictureMaps:
        """Return what is kept of sources, without the layers that only the style looks at."""
        return self.content_of_pictures(self.pictures(x))

    def content_of_pictures(self, images: Float[Tensor, "B 3 H W"]) -> PictureMaps:
        """Return the same of pictures in [0, 1] that need no decoding."""
        seen = self._layers(images, self._plain)
        content = [layer for layers in seen for layer in _kept(layers)]
        return PictureMaps([], content, images, *self.shapes)

    def _plain(self, images: Tensor) -> Tensor:
        return self.grey(images).expand(-1, 3, -1, -1)

    def _layers(self, images: Tensor, views: Callable[[Tensor], Tensor]) -> list[list[Tensor]]:
        _check_size(images)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.is_reduced):
            seen = views(images)
            return [backbone.layers(seen) for backbone in cast(list[Backbone], self.backbones)]


class FromAfar:
    """What the same networks see of pictures that are shrunk first.

    Args:
        near: Decodes, and looks at pictures as they are.
        side: Short side in pixels that they are shrunk to.
    """

    def __init__(self, near: DecodedFeatures, side: int = AFAR_SIDE) -> None:
        self.near, self.num_branches, self.side = near, near.num_branches, side

    def pictures(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Decode."""
        return self.near.pictures(x)

    def features(self, x: Float[Tensor, "B C h w"]) -> PictureMaps:
        """Return :meth:`DecodedFeatures.features` of what latents look like from afar."""
        return self.features_of_pictures(self.pictures(x))

    def features_of_pictures(self, images: Float[Tensor, "B 3 H W"]) -> PictureMaps:
        """Return the layers of pictures in [0, 1]."""
        return self.near.features_of_pictures(shrunk(images, self.side))

    def content_of_pictures(self, images: Float[Tensor, "B 3 H W"]) -> PictureMaps:
        """Return what is kept of sources."""
        return self.near.content_of_pictures(shrunk(images, self.side))


def shrunk(images: Float[Tensor, "B 3 H W"], side: int = AFAR_SIDE) -> Float[Tensor, "B 3 h w"]:
    """Shrink pictures to a short side of about `side`; smaller ones stay as they are."""
    factor = side / min(images.shape[-2:])
    if factor >= 1:
        return images
    size = [AFAR_MULTIPLE * round(factor * length / AFAR_MULTIPLE) for length in images.shape[-2:]]
    return F.interpolate(images, size=size, mode="bicubic", antialias=True)


def _check_size(images: Tensor) -> None:
    height, width = images.shape[-2:]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"pictures of {width} x {height} pixels are too small to be looked at, which takes "
            f"{LEAST_SIDE} pixels a side: take larger latents, or a larger loss.feature_crop (8 "
            "pixels each; 0: all)"
        )


def _kept(layers: Sequence[Tensor]) -> list[Tensor]:
    """Leave the finest layer to the style: brush work shows in it."""
    return list(layers[1:])


def _grouped(layers: Sequence[Tensor]) -> list[Tensor]:
    """Stack 2 x 2 positions of the finest layer, so that a point holds its surroundings."""
    return [F.pixel_unshuffle(layers[0], 2), *layers[1:]]
