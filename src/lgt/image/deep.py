"""Pictures of 12, 16 or 32 bits or floating point to 8 bits, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]
Rows = Callable[[int, int], Array]
"""Returns the values of rows, from the first up to but not including the second."""

STRIP = 2**20
"""Values that are converted at once."""

WHOLE_LEVELS = (255.0, 65535.0)
"""What white is in pictures of whole numbers."""
SIGNED_LEVELS = (255.0, 32767.0)
"""The same of 16 bits with a sign."""
_STRAY = 0.01
"""Share of values that may lie above white: highlights."""
_OVERSHOOT = 1.25
"""Values up to this many times white belong to a picture of that white."""
_MAX_FREE = 64.0
"""Broken numbers up to this have a white of their own, above it they count from 0 to 255."""
_NEGATIVE = 0.05
"""Share of negative values from which a picture counts from its lowest value."""


_LEVELS = np.arange(2**16, dtype=np.uint16)


@dataclass(frozen=True)
class Scale:
    """Black and white of a picture's values."""

    white: float
    black: float = 0.0
    is_inverted: bool = False

    def __call__(self, values: Array) -> Array:
        """Return 8 bits: black is 0, white 255; what is no number is black."""
        if values.dtype == np.uint16 and values.size > _LEVELS.size:
            table: Array = self(_LEVELS)
            return table[values]
        plain = np.nan_to_num(
            values.astype(np.float64), nan=self.black, posinf=self.white, neginf=self.black
        )
        scaled = np.clip((plain - self.black) * (255.0 / (self.white - self.black)), 0, 255)
        return np.rint(255 - scaled if self.is_inverted else scaled).astype(np.uint8)


def strips(height: int, row: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each strip of about `STRIP` values, with `row` a row."""
    step = max(1, STRIP // max(1, row))
    for start in range(0, height, step):
        yield start, min(start + step, height)


def scale_of(
    rows: Rows,
    height: int,
    row: int,
    *,
    is_float: bool,
    whole_levels: tuple[float, float] = WHOLE_LEVELS,
) -> Scale:
    """Return black and white as the values of a picture tell them.

    White is the first of `whole_levels` that no value exceeds, else the largest value. Of floating
    point it is the first of 1 (broken numbers only), 255 and 65535 above which at most 1 % of the
    values lie; where more do, but by no more than a quarter, or where it fits none of these, it is
    the largest value. Black is 0, or the lowest value where more than 5 % are negative.

    Args:
        rows: The values.
        height: Number of rows.
        row: Values in a row.
        is_float: Whether the values may be broken numbers.
        whole_levels: What white may be.
    """
    levels = (1.0, *whole_levels)
    above, negative, is_whole = np.zeros(len(levels)), 0, True
    low, top, count = 0.0, 0.0, 0
    for start, end in strips(height, row):
        values = rows(start, end)
        values = values[np.isfinite(values)] if is_float else values
        if not values.size:
            continue
        low, top = min(low, float(values.min())), max(top, float(values.max()))
        above += [np.count_nonzero(values > level) for level in levels]
        negative += int(np.count_nonzero(values < 0))
        is_whole = is_whole and not (is_float and bool((values != np.rint(values)).any()))
        count += values.size
    count = max(count, 1)
    black = low if negative > _NEGATIVE * count else 0.0
    if top <= 1:
        return Scale(1.0 if is_float else 255.0, black)
    for level, more in zip(levels, above / count, strict=True):
        if level == 1 and is_whole:
            continue
        if more <= (_STRAY if is_float else 0):
            return Scale(level, black)
        if is_float and (top <= _OVERSHOOT * level or (level == 1 and top <= _MAX_FREE)):
            break
    return Scale(top, black)


def is_deep(image: Image.Image) -> bool:
    """Tell greyscale pictures of more than 8 bits."""
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def to_8_bit(image: Image.Image) -> Image.Image:
    """Return a 16-bit, 32-bit or float greyscale picture with 8 bits: mode `L`, or `LA`.

    `LA` where one grey is transparent, as `info["transparency"]` says. 16 bits count from 0 to
    65535 (12 bits, as TIFF has them, to 4095), others as :func:`scale_of` tells; those with a sign
    have `SIGNED_LEVELS`.
    """
    width, height = image.size

    def rows(start: int, end: int) -> Array:
        return np.asarray(image.crop((0, start, width, end)))

    if image.mode.startswith("I;16"):
        scale = Scale(4095.0 if _bits(image) == 12 else 65535.0)
    else:
        levels = SIGNED_LEVELS if image.mode == "I" and _bits(image) == 16 else WHOLE_LEVELS
        is_float = image.mode == "F"
        scale = scale_of(rows, height, width, is_float=is_float, whole_levels=levels)
    clear = image.info.get("transparency")
    has_key = isinstance(clear, int)
    grey = Image.new("LA" if has_key else "L", image.size)
    for start, end in strips(height, width):
        values = rows(start, end)
        pixels = scale(values)
        if has_key:
            pixels = np.dstack([pixels, np.where(values == clear, 0, 255).astype(np.uint8)])
        grey.paste(Image.fromarray(pixels), (0, start))
    grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return grey


def _bits(image: Image.Image) -> int | None:
    tags = getattr(image, "tag_v2", {})
    return next(iter(tags.get(258, ())), None)
