"""Paintings at the size of their photo: a guided filter, in strips of any height.

Pictures are float32 arrays `[B, C, H, W]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lgt.image import luma
from lgt.paint.engine import Pixels

BLOCK = 16
"""Rows that are made at once: what is at work stays in a core's own cache."""

ACROSS = 32
"""Columns that are made at once."""

GAIN_ROWS = 64
"""Rows of the working size that are made at once."""

REACH = 2
"""How far the windows of the guided filter reach, in pixels of the working size."""

MOST_PRODUCTS = 2**17
"""Of one product of matrices: more of them wake up the threads of numpy's library, which stand in
the way of our own."""


class Enlargement:
    """A painting of the working size at the photo's, with edges as sharp as the photo's.

    `up(g) photo + up(result - g near)`, with `near` the photo at the working size. The gain g is
    the local slope of the painting's luma over the photo's (least squares over 5 x 5 pixels, within
    [0, 1]): where the painting kept the photo's shapes their edges become sharp, where it painted
    them over nothing comes back.

    Args:
        near: `[B, 3, h, w]`.
        result: Its painting.
        size: Height and width of the photo.
        least: Least gain, in [0, 1]; at 1 the photo's fine detail comes back whole.

    References:
        He and Sun, Fast Guided Filter, 2015, algorithm 2, https://arxiv.org/abs/1505.00996.
        Note: their offset is a mean over the window; this one keeps the painting's own texture.
    """

    def __init__(
        self, near: Pixels, result: Pixels, size: tuple[int, int], least: float = 0.0
    ) -> None:
        height, width = near.shape[-2:]
        self.size = size
        self.maps = np.empty((len(near), 4, height, width), np.float32)
        """Offsets and gain, by the same filter: where the photo is plain, they then cancel."""
        for top in range(0, height, GAIN_ROWS):
            rows = slice(top, min(top + GAIN_ROWS, height))
            first = max(0, top - REACH)
            around = (..., slice(first, rows.stop + REACH), slice(None))
            gain = local_slope(near[around], result[around], least)
            gain = gain[..., top - first : rows.stop - first, :]
            part = self.maps[..., rows, :]
            part[:, 3:] = gain
            np.multiply(gain, near[..., rows, :], out=part[:, :3])
            np.subtract(result[..., rows, :], part[:, :3], out=part[:, :3])
        self._across = list(blocks(width, size[1], 0, size[1], ACROSS))

    def strip(self, top: int, bottom: int) -> Strip:
        """Return some rows of the painting, which only lack the photo.

        Args:
            top: The first one's number.
            bottom: The last one's, and one.
        """
        height, width = self.size
        first, last = support(self.maps.shape[-2], height, top, bottom)
        near = self.maps[..., first:last, :]
        wide = np.empty((*near.shape[:-1], width), np.float32)
        for own, seen, weights in self._across:
            few = max(1, MOST_PRODUCTS // weights.size)
            for start in range(0, last - first, few):
                rows = slice(start, start + few)
                np.matmul(near[..., rows, seen], weights.T, out=wide[..., rows, own])
        return Strip(wide, first, self.maps.shape[-2], height)

    def rows(self, photo: Pixels, top: int = 0) -> Pixels:
        """Return the rows of the painting that some rows of the photo lie under.

        Args:
            photo: These rows, `[B, 3, H, W]`.
            top: The first one's number.
        """
        bottom = top + photo.shape[-2]
        strip, result = self.strip(top, bottom), np.empty_like(photo)
        for start in range(top, bottom, BLOCK):
            rows = (..., slice(start - top, start - top + BLOCK), slice(None))
            np.clip(strip.rows(photo[rows], start), 0, 1, out=result[rows])
        return result


@dataclass(frozen=True)
class Strip:
    """Rows of an enlargement that are as wide as the photo, and not yet as many."""

    wide: Pixels
    """Offsets and gain, `[B, 4, h, W]`."""
    first: int
    """Number of its first row at the working size."""
    near_height: int
    height: int
    """Of the photo."""

    def rows(self, photo: Pixels, top: int) -> Pixels:
        """Return rows of the painting, not yet clipped; see :meth:`Enlargement.rows`."""
        height, width = photo.shape[-2:]
        maps = np.empty((*self.wide.shape[:2], height, width), np.float32)
        for own, seen, weights in blocks(self.near_height, self.height, top, top + height, BLOCK):
            source = slice(seen.start - self.first, seen.stop - self.first)
            target = slice(own.start - top, own.stop - top)
            few = max(1, MOST_PRODUCTS // weights.size)
            for start in range(0, width, few):
                columns = slice(start, start + few)
                part = self.wide[..., source, columns]
                np.matmul(weights, part, out=maps[..., target, columns])
        result, gain = maps[:, :3], maps[:, 3:]
        result += gain * photo
        return result


def support(source: int, target: int, start: int, stop: int) -> tuple[int, int]:
    """Return the first pixel and the end of those that some pixels of a cubic enlargement see."""
    scale = source / target
    reach = 2 * max(scale, 1)
    low, high = ((at + 0.5) * scale for at in (start, stop - 1))
    return max(0, int(low - reach + 0.5)), min(source, int(high + reach + 0.5))


def blocks(
    source: int, target: int, start: int, stop: int, step: int
) -> Iterator[tuple[slice, slice, Pixels]]:
    """Yield the pixels of a line brought to another size, a few at once.

    The weights are those of Pillow's cubic filter.

    Args:
        source: Pixels of the line.
        target: Pixels that it is brought to.
        start: The first of them that is wanted.
        stop: The last one and one.
        step: How many are yielded at once.

    Yields:
        Which these are, which of the line they see, and the weights, `[own, seen]`.
    """
    scale = source / target
    for low in range(start, stop, step):
        high = min(low + step, stop)
        first, last = support(source, target, low, high)
        centers = (np.arange(low, high) + 0.5) * scale
        away = np.abs(np.arange(first, last) + 0.5 - centers[:, None]) / max(scale, 1)
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((2.5 - 0.5 * away) * away - 4) * away + 2
        weights = np.where(away < 1, near, np.where(away < 2, far, 0))
        weights /= weights.sum(1, keepdims=True)
        yield slice(low, high), slice(first, last), weights.astype(np.float32)


def local_slope(near: Pixels, result: Pixels, least: float) -> Pixels:
    """Return the gain `[B, 1, h, w]` of :class:`Enlargement`."""
    y, x = luma(result), luma(near)
    sums = local_mean(np.concatenate([x, y, x * y, x * x], axis=1), REACH)
    mean_x, mean_y, mean_xy, mean_xx = (sums[:, i : i + 1] for i in range(4))
    covariance, variance = mean_xy - mean_x * mean_y, mean_xx - np.square(mean_x)
    return np.asarray(np.clip(covariance / (variance + 1e-4), least, 1))


def local_mean(values: Pixels, reach: int = 2) -> Pixels:
    """Return the mean over windows of `2 reach + 1` pixels a side, cut off at the borders."""
    for axis in (-2, -1):
        count = values.shape[axis]
        near = [slice(max(0, shift), count + min(0, shift)) for shift in range(-reach, reach + 1)]
        total, number = np.zeros_like(values), np.zeros(count, np.float32)
        for here, there in zip(near, reversed(near), strict=True):
            if here.start < here.stop:
                at, of = np.moveaxis(total, axis, -1), np.moveaxis(values, axis, -1)
                at[..., here] += of[..., there]
                number[here] += 1
        total /= number[:, None] if axis == -2 else number
        values = total
    return values


def resize(
    pictures: Pixels,
    size: Sequence[int],
    filter_: Image.Resampling = Image.Resampling.BICUBIC,
) -> Pixels:
    """Scale pictures `[B, C, H, W]` to a height and width; smooth where they become smaller.

    Args:
        pictures: The pictures.
        size: Height and width of the result.
        filter_: How pixels are weighed; cubic unless given.
    """
    height, width = size
    result = np.empty((*pictures.shape[:2], height, width), np.float32)
    for index in np.ndindex(*pictures.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(pictures[index], np.float32))
        result[index] = np.asarray(plane.resize((width, height), filter_))
    return result


def mix(first: Pixels, second: Pixels, weight: Pixels) -> Pixels:
    """Return `first` where the weight is 0 and `second` where it is 1, both exactly."""
    near = first + weight * (second - first)
    return np.where(weight < 0.5, near, second - (1 - weight) * (second - first))
