"""Large pictures through a codec: tile by tile, in bounded memory, with the same result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lgt.codec.dct import DCTCodec
from lgt.codec.fold import DoublingChain, HalvingChain
from lgt.codec.spec import LatentCodec, check_images, check_latents
from lgt.image.tiling import areas_of, inside, slices

PROBE = 64
"""Side in pixels of the picture that is used to find out how far a codec sees."""


def reach(codec: LatentCodec) -> tuple[int, int] | None:
    """Return how far encoder and decoder see beyond a latent's own cell, in latents; None: all.

    The sum over the convolutions that run, each counted at its resolution: exact for a chain of
    layers, an upper bound where some run side by side. Normalisation and attention see all.
    """
    modules = [
        module
        for part in vars(codec).values()
        if isinstance(part, nn.Module)
        for module in part.modules()
    ]
    if any(word in type(m).__name__ for m in modules for word in ("Norm", "Attention")):
        return None
    if not modules:
        return (0, 0) if isinstance(codec, DCTCodec) else None
    seen: list[float] = []
    cells = PROBE // codec.spec.downscale

    def note(module: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        size, dilation = module.kernel_size[0], module.dilation[0]
        beyond = dilation * (size - 1) / 2
        if isinstance(module, nn.ConvTranspose2d):
            beyond = math.ceil(size / module.stride[0]) - 1
        seen.append(beyond * cells / inputs[0].shape[-1])

    kinds = (nn.Conv2d, nn.ConvTranspose2d, HalvingChain, DoublingChain)
    convolutions = {m for m in modules if isinstance(m, kinds)}
    hooks = [module.register_forward_hook(note) for module in convolutions]
    try:
        with torch.no_grad():
            latent = codec.encode(torch.zeros(1, 3, PROBE, PROBE))
            encoder = math.ceil(sum(seen))
            seen.clear()
            codec.decode(latent)
    finally:
        for hook in hooks:
            hook.remove()
    return encoder, math.ceil(sum(seen))


class TiledCodec:
    """A codec that takes large pictures in tiles.

    Tiles overlap by as much as the codec sees, so the result is that of the whole picture, up to
    rounding. Codecs with normalisation or attention over the whole picture (`AutoencoderKL`) use
    the blended tiles of diffusers instead, which is not exact; others are used as they are.

    Args:
        codec: The codec; it shares its weights.
        tile: Side of a tile in pixels, without overlap; smaller pictures are not cut.
        progress: Called with the fraction done, in (0, 1], after each tile.
    """

    def __init__(
        self, codec: LatentCodec, tile: int, progress: Callable[[float], None] | None = None
    ) -> None:
        self.codec, self.spec, self.progress = codec, codec.spec, progress
        self.tile = max(1, tile // codec.spec.downscale)
        self._reach: tuple[int, int] | None = None

    def encode(self, images: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` in [0, 1] to raw latents `[B, C, H/f, W/f]`, float32."""
        check_images(images, self.spec)
        height, width = (side // self.spec.downscale for side in images.shape[-2:])
        if not self._is_cut(height, width):
            return self._whole(self.codec.encode, images, max(height, width))
        return self._tiles(self.codec.encode, images, height, width, is_encoder=True)

    def decode(self, raw_latents: Tensor) -> Tensor:
        """Map raw latents to images `[B, 3, H, W]` in [0, 1], float32."""
        check_latents(raw_latents, self.spec)
        height, width = raw_latents.shape[-2:]
        if not self._is_cut(height, width):
            return self._whole(self.codec.decode, raw_latents, max(height, width))
        return self._tiles(self.codec.decode, raw_latents, height, width, is_encoder=False)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TiledCodec:
        """Move the weights and set the format they compute in; return the codec."""
        self.codec = self.codec.to(device, dtype)
        return self

    def _is_cut(self, height: int, width: int) -> bool:
        if max(height, width) <= self.tile:
            return False
        self._reach = reach(self.codec)
        return self._reach is not None

    def _whole(self, function: Callable[[Tensor], Tensor], values: Tensor, longest: int) -> Tensor:
        """Run a codec that can not be cut; diffusers' own tiles are on meanwhile, if it has any."""
        model = getattr(self.codec, "model", None)
        has_own = longest > self.tile and hasattr(model, "enable_tiling")
        if has_own:
            model.enable_tiling()  # type: ignore[union-attr]
        try:
            result = function(values)
        finally:
            if has_own:
                model.disable_tiling()  # type: ignore[union-attr]
        if self.progress is not None:
            self.progress(1.0)
        return result

    def _tiles(
        self,
        function: Callable[[Tensor], Tensor],
        values: Tensor,
        height: int,
        width: int,
        *,
        is_encoder: bool,
    ) -> Tensor:
        """Run a function on each tile with its surroundings and keep the tile's own part."""
        encoder, decoder = self._reach or (0, 0)
        halo = encoder if is_encoder else decoder
        before, after = (self.spec.downscale, 1) if is_encoder else (1, self.spec.downscale)
        result: Tensor | None = None
        areas = list(areas_of(height, width, self.tile, halo))
        for index, (own, seen) in enumerate(areas):
            part = function(values[(..., *slices(seen, before))])
            if result is None:
                shape = (*part.shape[:2], height * after, width * after)
                result = torch.empty(shape, dtype=part.dtype, device=part.device)
            result[(..., *slices(own, after))] = part[(..., *slices(inside(own, seen), after))]
            if self.progress is not None:
                self.progress((index + 1) / len(areas))
        if result is None:
            return function(values)
        return result
