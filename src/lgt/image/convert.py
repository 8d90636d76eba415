"""Pictures to arrays and tensors and back: float32 `[B, 3, H, W]`, RGB, in [0, 1]."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image.read import open_image, to_rgb
from lgt.image.size import REDUCING_GAP, limited_size

if TYPE_CHECKING:
    from torch import Tensor


def resize_and_crop(
    image: Image.Image,
    size: int,
    *,
    position: tuple[float, float] = (0.5, 0.5),
    zoom: float = 1.0,
) -> Image.Image:
    """Cut the largest square window and scale it to `size` x `size`; the aspect is kept.

    With zoom 1 this is: scale the short side to `size`, then crop the long side.

    Args:
        image: RGB picture of any size.
        size: Side of the result, in pixels.
        position: Place of the window in the free space, (horizontal, vertical); 0 is left or top,
            1 is right or bottom, 0.5 is the centre.
        zoom: Short side of the picture / side of the window; at least 1.

    Raises:
        InputError: The size is below 1, the position outside [0, 1], or the zoom below 1.
    """
    if size < 1:
        raise InputError(f"size: must be at least 1 pixel (got {size})")
    if not all(0 <= p <= 1 for p in position):
        raise InputError(f"position: both values must lie in [0, 1] (got {position})")
    if zoom < 1:
        raise InputError(f"zoom: must be at least 1 (got {zoom})")
    width, height = image.size
    side = min(width, height) / zoom
    left, top = position[0] * (width - side), position[1] * (height - side)
    if side == size:  # no scaling: stay on the pixel grid, nothing is resampled
        left, top = math.floor(left), math.floor(top)
        return image.crop((left, top, left + size, top + size))
    filter_ = Image.Resampling.LANCZOS if side > size else Image.Resampling.BICUBIC
    box = (left, top, min(left + side, width), min(top + side, height))
    return image.resize((size, size), filter_, box=box, reducing_gap=3.0)


def limit_side(image: Image.Image, max_side: int | None) -> Image.Image:
    """Shrink a picture whose longest side exceeds `max_side` pixels; the aspect is kept."""
    size = limited_size(image.size, max_side)
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)


def to_pixels(image: Image.Image | np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Turn a picture of 8 bits into a float32 array `[1, 3, H, W]` in [0, 1].

    Args:
        image: PIL image, of which `L` gives one channel, or an array `[H, W, C]`.
    """
    if isinstance(image, Image.Image) and image.mode not in ("RGB", "L"):
        image = to_rgb(image)
    if isinstance(image, Image.Image):
        # Pillow takes the bands apart faster than numpy.
        bands = [np.asarray(band) for band in image.split()]
    else:
        bands = list(np.atleast_3d(np.asarray(image, np.uint8)).transpose(2, 0, 1))
    pixels = np.empty((1, len(bands), *bands[0].shape), np.float32)
    for target, band in zip(pixels[0], bands, strict=True):
        target[:] = band
    pixels /= 255
    return pixels


def to_levels(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Turn an array `[3, H, W]` in [0, 1] into 8 bits, `[H, W, 3]`; values are clipped."""
    return np.ascontiguousarray(_levels(pixels).transpose(1, 2, 0))


def to_picture(pixels: np.ndarray[Any, Any]) -> Image.Image:
    """Turn an array `[3, H, W]` in [0, 1] into a PIL image; values are clipped."""
    return Image.merge("RGB", [Image.fromarray(band) for band in _levels(pixels)])


def _levels(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    values = np.clip(pixels, 0, 1)
    values *= 255
    levels: np.ndarray[Any, np.dtype[np.uint8]] = np.rint(values, out=values).astype(np.uint8)
    return levels


def from_pixels(pixels: np.ndarray[Any, Any]) -> Image.Image:
    """Turn an array `[1, 3, H, W]` or `[3, H, W]` in [0, 1] into a PIL image; values are clipped.

    Raises:
        InputError: Another shape, or values that are not finite.
    """
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise InputError(
            f"expected one image [3, H, W] or [1, 3, H, W], got shape {list(pixels.shape)}"
        )
    if not np.isfinite(pixels).all():
        raise InputError("the image holds values that are not finite (nan or inf)")
    return to_picture(pixels)


def to_tensor(image: Image.Image) -> Tensor:
    """Turn a PIL image into a float32 tensor `[1, 3, H, W]` in [0, 1]."""
    import torch

    return torch.from_numpy(to_pixels(image if image.mode == "RGB" else to_rgb(image)))


def to_image(tensor: Tensor) -> Image.Image:
    """Turn a tensor as :func:`from_pixels` does an array."""
    return from_pixels(tensor.detach().float().cpu().numpy())


def preprocess(image: Image.Image | Path | str, size: int | None = 256) -> Tensor:
    """Turn a picture into what `encode_image` takes: `[1, 3, size, size]` in [0, 1].

    Args:
        image: PIL image of any mode, or a path.
        size: Side of the centred square, in pixels; None keeps the whole picture and its size.
    """
    rgb = open_image(image) if isinstance(image, (str, Path)) else to_rgb(image)
    return to_tensor(rgb if size is None else resize_and_crop(rgb, size))
