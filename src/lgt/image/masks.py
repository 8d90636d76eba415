"""Masks: greyscale pictures that say where; white is 1, black is 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from lgt.errors import InputError
from lgt.image.convert import to_pixels
from lgt.image.read import to_rgb


def soft_mask(
    mask: Image.Image, size: tuple[int, int], *, invert: bool = False, feather: float = 0.0
) -> Image.Image:
    """Return a greyscale mask (mode `L`) of a picture's size.

    Args:
        mask: Picture of any size and mode; it is stretched to `size`. Its value is luma times
            alpha: only what is white and opaque is 1, what is transparent is 0.
        size: Width and height in pixels.
        invert: Swap white and black.
        feather: Standard deviation of a Gaussian blur of the border, in pixels of `size`.

    Raises:
        InputError: The feather is negative.
    """
    if not feather >= 0:
        raise InputError(f"mask_feather must be at least 0 pixels (got {feather})")
    grey = mask if mask.mode == "L" and not mask.info else mask_value(mask)
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    if invert:
        grey = ImageOps.invert(grey)
    return grey.filter(ImageFilter.GaussianBlur(feather)) if feather else grey


def mask_value(mask: Image.Image) -> Image.Image:
    """Return luma times alpha of a picture of any mode, as a greyscale picture (mode `L`)."""
    picture = to_rgb(mask, keep_alpha=True)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    return picture.convert("L")


def mask_pixels(mask: Image.Image, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a mask as float32 `[1, 1, H, W]` in [0, 1], of a picture's size (width, height)."""
    return to_pixels(soft_mask(mask, size))
