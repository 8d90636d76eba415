"""Frames to painted frames: the same noise for each, in batches, through the temporal filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image import mask_pixels, to_levels, to_pixels
from lgt.paint.compose import Weight, canvas_of, paint_pixels
from lgt.paint.controls import Controls, working_size
from lgt.paint.engine import Engine, Pixels, Transport
from lgt.paint.enlarge import mix
from lgt.video.clip import Levels
from lgt.video.smooth import TemporalFilter


@dataclass(frozen=True)
class Layer:
    """A style and where it goes."""

    transport: Transport
    mask: Image.Image | None = None
    """White is painted; None: everywhere."""


class FramePainter:
    """Paints the frames of a clip, in order.

    Args:
        engine: What computes.
        layers: Styles, lowest first.
        controls: How to paint; `max_side` is the caller's.
        size: Width and height of the frames, in pixels.
        smoother: The temporal filter, whose state goes from frame to frame.
        mask: White is painted, black stays the source; of the frames' size.
        detail_mask: Where `detail` applies.
    """

    def __init__(
        self,
        engine: Engine,
        layers: Sequence[Layer],
        controls: Controls,
        *,
        size: tuple[int, int],
        smoother: TemporalFilter,
        mask: Image.Image | None = None,
        detail_mask: Image.Image | None = None,
    ) -> None:
        if controls.refine:
            raise InputError(
                "refine is for pictures: frames that each go their own way would flicker, and take "
                "a minute each; leave it out for videos"
            )
        self.engine, self.layers, self.controls, self.size = engine, layers, controls, size
        self.smoother, self.mask, self.detail_mask = smoother, mask, detail_mask
        self._working = working_size(size, canvas_of(engine, controls), controls.style_scale)
        self._detail: Weight = engine.detail if controls.detail is None else controls.detail
        if detail_mask is not None:
            self._detail = self._detail * mask_pixels(detail_mask, self._working)
        self._mask = None if mask is None else mask_pixels(mask, size)
        self._areas = [
            None if layer.mask is None else mask_pixels(layer.mask, size) for layer in layers
        ]
        self._last: tuple[Levels, Levels] | None = None

    def paint(self, frames: Sequence[Levels]) -> list[Levels]:
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
        sources = [to_pixels(frame) for frame, new in zip(frames, is_new, strict=True) if new]
        steady = [self.smoother.steady(frame) for frame in sources]
        layers: list[Pixels] = []
        if sources:
            batch = np.concatenate([frame for frame, _ in steady])
            layers = [self._painted(batch, layer.transport) for layer in self.layers]
        fresh = [
            self._finish(source, [layer[index : index + 1] for layer in layers], gain)
            for index, (source, (_, gain)) in enumerate(zip(sources, steady, strict=True))
        ]
        shown = None if self._last is None else self._last[1]
        result: list[Levels] = []
        remaining = iter(fresh)
        for new in is_new:
            if new or shown is None:
                shown = next(remaining)
            result.append(shown)
        self._last = (frames[-1], result[-1])
        return result

    def _painted(self, frames: Pixels, transport: Transport) -> Pixels:
        """Give frames `[B, 3, H, W]` a style."""
        return paint_pixels(
            frames,
            self.engine,
            transport,
            self.controls,
            size=self._working,
            detail=self._detail,
        )

    def _finish(self, source: Pixels, layers: list[Pixels], gain: Pixels | float) -> Levels:
        """Return a frame: the steadied paintings of its layers, laid over the source."""
        result = source
        for painting, area in zip(self.smoother.blend(layers, gain), self._areas, strict=True):
            picture = painting if self._mask is None else mix(source, painting, self._mask)
            result = picture if area is None else mix(result, picture, area)
        return to_levels(result[0])
