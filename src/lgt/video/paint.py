"""Frames to painted frames: the same noise for each, in batches, through the temporal filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lgt.codec import LatentCodec
from lgt.image import mask_tensor
from lgt.paint.control import Controls, Progress, paint_tensor, resize, working_size
from lgt.paint.transfer import MIN_POSITIONS, LGTInference
from lgt.video.clip import Pixels
from lgt.video.smooth import TemporalFilter


@dataclass(frozen=True)
class Layer:
    """A style and where it goes."""

    weights: Mapping[int, float]
    """Weight of each style by id."""
    mask: Image.Image | None = None
    """White is painted; None: everywhere."""


class FramePainter:
    """Paints the frames of a clip, in order.

    Args:
        lgt: The model.
        codec: Its codec.
        controls: How to paint; `max_side` is the caller's.
        size: Width and height of the frames, in pixels.
        layers: Styles, lowest first.
        mask: White is painted, black stays the source; of the frames' size.
        detail_mask: Where `detail` applies.
        source_style: Style of the clip, if known.
        num_steps: Solver steps; None: the model's.
        seed: Of the noise, the same for each frame; None: drawn anew for each.
        smoother: The temporal filter, whose state goes from frame to frame.
    """

    def __init__(
        self,
        lgt: LGTInference,
        codec: LatentCodec,
        controls: Controls,
        *,
        size: tuple[int, int],
        layers: Sequence[Layer],
        mask: Image.Image | None,
        detail_mask: Image.Image | None,
        source_style: int | str | None,
        num_steps: int | None,
        seed: int | None,
        smoother: TemporalFilter,
    ) -> None:
        lgt.check_codec(codec)
        self.lgt, self.codec, self.controls, self.size = lgt, codec, controls, size
        self.layers, self.mask, self.detail_mask = layers, mask, detail_mask
        self.source_style, self.num_steps, self.seed = source_style, num_steps, seed
        self.smoother = smoother
        small = working_size(size, controls.style_scale)
        self._working = None if small == size else small[::-1]
        self._detail: float | Tensor = controls.detail or 0.0
        if detail_mask is not None:
            self._detail = self._detail * mask_tensor(detail_mask, small)
        self._mask = None if mask is None else mask_tensor(mask, size)
        self._areas = [
            None if layer.mask is None else mask_tensor(layer.mask, size) for layer in layers
        ]
        self._last: tuple[Pixels, Pixels] | None = None

    @torch.no_grad()
    def paint(self, frames: Sequence[Pixels]) -> list[Pixels]:
        """Paint the next frames.

        Frames equal to the one before are shown as that was.

        Args:
            frames: RGB `[H, W, 3]`, of the clip's size.
        """
        if self.controls.strength == 0:
            return list(frames)
        before = [None if self._last is None else self._last[0], *frames[:-1]]
        is_new = [
            old is None or not np.array_equal(old, new)
            for old, new in zip(before, frames, strict=True)
        ]
        sources = [_tensor(frame) for frame, new in zip(frames, is_new, strict=True) if new]
        steady = [self.smoother.steady(frame) for frame in sources]
        layers: list[Tensor] = []
        if sources:
            batch = torch.cat([frame for frame, _ in steady])
            layers = [self._painted(batch, layer.weights) for layer in self.layers]
        fresh = [
            self._finish(source, [layer[index : index + 1] for layer in layers], gain)
            for index, (source, (_, gain)) in enumerate(zip(sources, steady, strict=True))
        ]
        shown = None if self._last is None else self._last[1]
        result: list[Pixels] = []
        remaining = iter(fresh)
        for new in is_new:
            if new or shown is None:
                shown = next(remaining)
            result.append(shown)
        self._last = (frames[-1], result[-1])
        return result

    def _painted(self, frames: Tensor, weights: Mapping[int, float]) -> Tensor:
        """Give frames `[B, 3, H, W]` a style."""
        tile = self.controls.tile
        cells = tile and max(MIN_POSITIONS, tile // self.codec.spec.downscale)

        def transfer(x_src: Tensor, progress: Progress) -> Tensor:
            return self.lgt.transfer_style(
                x_src,
                self.source_style,
                weights,
                self.num_steps,
                seed=self.seed,
                repulsion=self.controls.repulsion,
                tile=cells,
                progress=progress,
                is_noise_shared=self.seed is not None,
            )

        near = frames if self._working is None else resize(frames, self._working).clamp_(0, 1)
        return paint_tensor(
            frames,
            self.controls,
            near=near,
            detail=self._detail,
            codec=self.codec,
            transfer=transfer,
            device=self.lgt.device,
        )

    def _finish(self, source: Tensor, layers: list[Tensor], gain: Tensor | float) -> Pixels:
        """Return a frame: the steadied paintings of its layers, laid over the source."""
        result = source
        for painting, area in zip(self.smoother.blend(layers, gain), self._areas, strict=True):
            picture = painting
            if self._mask is not None:
                picture = torch.lerp(source, painting, self._mask)
            result = picture if area is None else torch.lerp(result, picture, area)
        return _pixels(result)


def _tensor(frame: Pixels) -> Tensor:
    """Turn RGB `[H, W, 3]` of 8 bits into `[1, 3, H, W]` in [0, 1]."""
    pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)
    return pixels[None].contiguous().float().div_(255)


def _pixels(frame: Tensor) -> Pixels:
    """Turn `[1, 3, H, W]` in [0, 1] into RGB `[H, W, 3]` of 8 bits."""
    values = frame[0].clamp(0, 1).mul(255).round_().to(torch.uint8)
    return values.permute(1, 2, 0).contiguous().cpu().numpy()
