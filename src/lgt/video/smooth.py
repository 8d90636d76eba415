"""Temporal smoothing without optical flow: hold still what holds still in the source.

The source s is averaged over time with a gain g per pixel, and paintings y of the average with the
same gain:

    r_t = r_(t-1) + g_t (s_t - r_(t-1))
    y_t = y_(t-1) + g_t (paint(r_t) - y_(t-1))

g is 1 wherever the source differs from r by more than its noise, and `1 - keep` where it does not.
As the difference is taken to the average and not to the last frame, slow changes add up until they
count: r is always the source up to its noise, so y is never a painting of something else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lgt.paint.engine import Pixels
from lgt.paint.enlarge import local_mean, resize

STRIDE = 4
"""Gains are computed at this fraction of the resolution, from windows of twice the side."""

CUT = 0.1
"""Mean change of all pixels, of a range of 1, that is a new scene: nothing is held."""

LEVEL = 1 / 255
MAX_NOISE = 0.05
"""Largest deviation of a pixel that is taken for noise."""


def noise_level(frame: Pixels, energy: Pixels) -> float:
    """Estimate the standard deviation of the noise of a pixel.

    The smaller one of two upper bounds: in time the change of most of the frame, which motion
    raises, and in space what a Laplacian leaves of flat places, which texture raises.

    Args:
        frame: `[1, 3, H, W]`, RGB in [0, 1].
        energy: Local mean square of its change, `[1, 1, h, w]`.

    References:
        Immerkaer, Fast Noise Variance Estimation, 1996 (the Laplacian)
    """
    if min(frame.shape[-2:]) < 3:
        return 0.0
    rows = frame[..., 2:, :] - 2 * frame[..., 1:-1, :] + frame[..., :-2, :]
    grain = (rows[..., 2:] - 2 * rows[..., 1:-1] + rows[..., :-2]) / 6
    in_space = np.quantile(_pool(np.square(grain).mean(1, keepdims=True)), 0.25)
    in_time = np.quantile(energy, 0.5, method="lower")
    return min(MAX_NOISE, float(np.sqrt(min(in_space, in_time))))


def change(frame: Pixels, reference: Pixels) -> Pixels:
    """Return how much a frame has changed, at a quarter of its size: 0 is noise, 1 for certain.

    Two tests, of which the stronger counts: the root mean square of the difference in a window of 8
    x 8 pixels, which finds moving texture, and its mean, in which noise cancels, which finds weak
    shadows.
    """
    difference = frame - reference
    energy = _pool(np.square(difference).mean(1, keepdims=True))
    noise = noise_level(frame, energy)
    spread = _ramp(np.sqrt(energy), 1.5 * noise + 1.5 * LEVEL, 2.5 * noise + 4 * LEVEL)
    mean = np.abs(_pool(difference)).max(1, keepdims=True)
    shift = _ramp(mean, 0.5 * noise + 1.5 * LEVEL, noise + 4 * LEVEL)
    return np.asarray(np.maximum(spread, shift))


def _ramp(values: Pixels, low: float, high: float) -> Pixels:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _pool(values: Pixels) -> Pixels:
    """Average windows of 8 x 8, every 4 pixels: of 2 x 2 blocks of 4 x 4 pixels."""
    height, width = values.shape[-2:]
    sides = ((2, 2 + -height % STRIDE), (2, 2 + -width % STRIDE))
    padded = np.pad(values, ((0, 0), (0, 0), *sides), mode="edge")
    rows, columns = (side // STRIDE for side in padded.shape[-2:])
    blocks = padded.reshape(*values.shape[:2], rows, STRIDE, columns, STRIDE).mean((3, 5))
    halves = blocks[..., 1:, :] + blocks[..., :-1, :]
    return np.asarray((halves[..., 1:] + halves[..., :-1]) / 4)


def _widened(values: Pixels, reach: int) -> Pixels:
    """Return the largest value over windows of `2 reach + 1` a side."""
    for axis in (-2, -1):
        padding = [(0, 0)] * values.ndim
        padding[axis] = (reach, reach)
        padded = np.pad(values, padding, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        values = windows.max(-1)
    return values


class TemporalFilter:
    """The recursive filter of a clip.

    Args:
        keep: Share of the last frame in the next one where nothing changes, in [0, 1); 0 is off.
        reach: How far, in pixels, a painting changes around what changed in the source.
    """

    def __init__(self, keep: float, reach: float = 12.0) -> None:
        self.keep = keep
        self.cells = max(1, round(reach / STRIDE))
        self.source: Pixels | None = None
        """The average r, `[1, 3, H, W]`."""
        self.paintings: list[Pixels] = []
        """The paintings y, one a layer, `[1, 3, H, W]`."""

    def steady(self, frame: Pixels) -> tuple[Pixels, Pixels | float]:
        """Take the next frame `[1, 3, H, W]` of the source; return what to paint and the gain."""
        last, gain = self.source, 1.0
        if self.keep == 0 or last is None or float(np.abs(frame - last).mean()) > CUT:
            self.source = frame
            return frame, gain
        moved = local_mean(_widened(change(frame, last), self.cells), 1)
        size = [STRIDE * n for n in moved.shape[-2:]]
        full = resize(moved, size, Image.Resampling.BILINEAR)
        full = full[..., : frame.shape[-2], : frame.shape[-1]]
        gains = 1 - self.keep * (1 - full)
        self.source = last + gains * (frame - last)
        return self.source, gains

    def blend(self, painted: list[Pixels], gain: Pixels | float) -> list[Pixels]:
        """Take the layers of a frame as painted; return them as shown."""
        if len(self.paintings) != len(painted) or isinstance(gain, float):
            self.paintings = painted
        else:
            self.paintings = [
                old + gain * (new - old) for old, new in zip(self.paintings, painted, strict=True)
            ]
        return self.paintings

    def round(self) -> None:
        """Round the state to float16, 1/16 of a level of 255."""
        if self.source is not None:
            self.source = _rounded(self.source)
        self.paintings = [_rounded(painting) for painting in self.paintings]


def _rounded(values: Pixels) -> Pixels:
    return values.astype(np.float16).astype(np.float32)
