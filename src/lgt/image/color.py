"""Colour: the brightness of one picture with the colours of another."""

from __future__ import annotations

from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.float32]]
"""Pictures `[B, 3, H, W]`."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma Y' of ITU-R BT.601, which JPEG uses."""


def luma(image: Any) -> Any:
    """Return `Y' = 0.299 R' + 0.587 G' + 0.114 B'` of gamma-coded RGB in [0, 1].

    Args:
        image: Array or tensor `[B, 3, H, W]`.

    Returns:
        The same `[B, 1, H, W]`.
    """
    red, green, blue = image[:, :1], image[:, 1:2], image[:, 2:]
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def keep_chroma(result: Pixels, photo: Pixels) -> Pixels:
    """Return the luma of `result` with the chroma (Cb, Cr of BT.601) of `photo`.

    `Y_result + k (photo - Y_photo)`: the offsets of R, G and B from the luma are the chroma. k is 1
    wherever that is a colour; else the largest number that keeps R, G and B in [0, 1]. The luma is
    exact and the hue is the photo's everywhere; only the saturation gives way.
    """
    y, chroma = luma(result), photo - luma(photo)
    tiny = np.finfo(np.float32).tiny
    room = np.where(chroma > 0, (1 - y) / np.maximum(chroma, tiny), y / np.maximum(-chroma, tiny))
    return np.asarray(y + np.clip(room.min(1, keepdims=True), 0, 1) * chroma)
