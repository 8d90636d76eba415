"""Pictures to tensors and back: float32 `[B, 3, H, W]`, RGB, in [0, 1]."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lgt.errors import InputError
from lgt.image.read import open_image, to_rgb


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


def to_tensor(image: Image.Image) -> Tensor:
    """Turn a PIL image into a float32 tensor `[1, 3, H, W]` in [0, 1]."""
    rgb = image if image.mode == "RGB" else to_rgb(image)
    pixels = torch.from_numpy(np.array(rgb, dtype=np.uint8))
    return pixels.permute(2, 0, 1).unsqueeze(0).contiguous().float().div_(255.0)


def grey_to_tensor(image: Image.Image) -> Tensor:
    """Turn a greyscale PIL image (mode `L`) into a float32 tensor `[1, 1, H, W]` in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels[None, None].float().div_(255.0)


def to_image(tensor: Tensor) -> Image.Image:
    """Turn a tensor `[1, 3, H, W]` or `[3, H, W]` in [0, 1] into a PIL image; values are clipped.

    Raises:
        InputError: Another shape, or values that are not finite.
    """
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise InputError(
            f"expected one image [3, H, W] or [1, 3, H, W], got shape {list(tensor.shape)}"
        )
    values = tensor.detach().float().cpu()
    if not torch.isfinite(values).all():
        raise InputError("the image holds values that are not finite (nan or inf)")
    pixels = values.clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def preprocess(image: Image.Image | Path | str, size: int | None = 256) -> Tensor:
    """Turn a picture into what `encode_image` takes: `[1, 3, size, size]` in [0, 1].

    Args:
        image: PIL image of any mode, or a path.
        size: Side of the centred square, in pixels; None keeps the whole picture and its size.
    """
    rgb = open_image(image) if isinstance(image, (str, Path)) else to_rgb(image)
    return to_tensor(rgb if size is None else resize_and_crop(rgb, size))
