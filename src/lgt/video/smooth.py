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

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

STRIDE = 4
"""Gains are computed at this fraction of the resolution, from windows of twice the side."""

CUT = 0.1
"""Mean change of all pixels, of a range of 1, that is a new scene: nothing is held."""

LEVEL = 1 / 255
MAX_NOISE = 0.05
"""Largest deviation of a pixel that is taken for noise."""


def noise_level(
    frame: Float[Tensor, "1 3 H W"], energy: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, ""]:
    """Estimate the standard deviation of the noise of a pixel.

    The smaller one of two upper bounds: in time the change of most of the frame, which motion
    raises, and in space what a Laplacian leaves of flat places, which texture raises.

    Args:
        frame: RGB in [0, 1].
        energy: Local mean square of its change.

    References:
        Immerkaer, Fast Noise Variance Estimation, 1996 (the Laplacian)
    """
    kernel = frame.new_tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6
    if min(frame.shape[-2:]) < 3:
        return frame.new_zeros(())
    grain = F.conv2d(frame, kernel.expand(3, 1, 3, 3), groups=3).square().mean(1, keepdim=True)
    in_space = _pool(grain).quantile(0.25) if grain.numel() < 2**24 else _pool(grain).median()
    in_time = energy.median()
    return torch.minimum(in_space, in_time).sqrt().clamp(max=MAX_NOISE)


def change(
    frame: Float[Tensor, "1 3 H W"], reference: Float[Tensor, "1 3 H W"]
) -> Float[Tensor, "1 1 h w"]:
    """Return how much a frame has changed, at a quarter of its size: 0 is noise, 1 for certain.

    Two tests, of which the stronger counts: the root mean square of the difference in a window of 8
    x 8 pixels, which finds moving texture, and its mean, in which noise cancels, which finds weak
    shadows.
    """
    difference = frame - reference
    energy = _pool(difference.square().mean(1, keepdim=True))
    noise = noise_level(frame, energy)
    spread = _ramp(energy.sqrt(), 1.5 * noise + 1.5 * LEVEL, 2.5 * noise + 4 * LEVEL)
    mean = _pool(difference).abs().amax(1, keepdim=True)
    shift = _ramp(mean, 0.5 * noise + 1.5 * LEVEL, noise + 4 * LEVEL)
    return torch.maximum(spread, shift)


def _ramp(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _pool(values: Tensor) -> Tensor:
    """Average windows of 8 x 8, every 4 pixels."""
    side = 2 * STRIDE
    rest = [-values.shape[-1] % STRIDE, -values.shape[-2] % STRIDE]
    padded = F.pad(values, (2, 2 + rest[0], 2, 2 + rest[1]), mode="replicate")
    return F.avg_pool2d(padded, side, STRIDE)


class TemporalFilter:
    """The recursive filter of a clip.

    Args:
        keep: Share of the last frame in the next one where nothing changes, in [0, 1); 0 is off.
        reach: How far, in pixels, a painting changes around what changed in the source.
    """

    def __init__(self, keep: float, reach: float = 12.0) -> None:
        self.keep = keep
        self.cells = max(1, round(reach / STRIDE))
        self.source: Tensor | None = None
        """The average r, `[1, 3, H, W]`."""
        self.paintings: list[Tensor] = []
        """The paintings y, one a layer, `[1, 3, H, W]`."""

    def steady(
        self, frame: Float[Tensor, "1 3 H W"]
    ) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"] | float]:
        """Take the next frame of the source; return what to paint and the gain."""
        last, gain = self.source, 1.0
        if self.keep == 0 or last is None or float((frame - last).abs().mean()) > CUT:
            self.source = frame
            return frame, gain
        moved = change(frame, last)
        side = 2 * self.cells + 1
        moved = F.max_pool2d(moved, side, 1, self.cells)
        moved = F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False)
        size = [STRIDE * n for n in moved.shape[-2:]]
        full = F.interpolate(moved, size, mode="bilinear", align_corners=False)
        full = full[..., : frame.shape[-2], : frame.shape[-1]]
        gains = 1 - self.keep * (1 - full)
        self.source = last + gains * (frame - last)
        return self.source, gains

    def blend(
        self, painted: list[Tensor], gain: Float[Tensor, "1 1 H W"] | float
    ) -> list[Float[Tensor, "1 3 H W"]]:
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
            self.source = self.source.half().float()
        self.paintings = [painting.half().float() for painting in self.paintings]
