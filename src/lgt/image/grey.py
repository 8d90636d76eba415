"""Pictures without colour, at one brightness and one contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from lgt.device import sent

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

TARGET_MEAN, TARGET_DEVIATION = 0.45, 0.22
"""Brightness and contrast that every picture is brought to: about those of a photo."""

SOFTENING = 0.02
"""Added to a picture's own deviation, so that an empty picture stays empty."""


def luminance(images: Tensor) -> Tensor:
    """Return `[B, 1, H, W]` = 0.299 R + 0.587 G + 0.114 B of `[B, 3, H, W]`."""
    weights = sent(torch.tensor(LUMINANCE, dtype=images.dtype), images.device)[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def matched_luminance(images: Tensor) -> Tensor:
    """Return the luminance `[B, 1, H, W]`, each picture brought to one mean and one contrast.

    `(y - mean(y)) / (std(y) + 0.02) * 0.22 + 0.45`, not clipped: a change of palette, brightness or
    contrast alone (of a picture that is not empty) leaves it nearly as it was.
    """
    y = luminance(images)
    mean = y.mean((2, 3), keepdim=True)
    deviation = y.std((2, 3), keepdim=True, correction=0)
    return (y - mean) / (deviation + SOFTENING) * TARGET_DEVIATION + TARGET_MEAN
