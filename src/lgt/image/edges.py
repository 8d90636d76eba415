"""Edge agreement: do the outlines of a picture survive?"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lgt.device import sent
from lgt.exact import exact_conv2d
from lgt.image.grey import luminance

BLUR_RADIUS = 2
"""Radius in pixels of the binomial kernel that a picture is blurred with first: what is a pixel
wide is stroke and grain, not outline."""

FLOOR = 1e-6
"""Keeps the slope of the gradient's magnitude finite on plain surfaces."""


@cache
def _binomial(radius: int, dtype: torch.dtype) -> Tensor:
    kernel = torch.ones(1, dtype=dtype)
    for _ in range(2 * radius):
        kernel = F.pad(kernel, (1, 0)) + F.pad(kernel, (0, 1))
    return kernel / kernel.sum()


@cache
def _sobel(dtype: torch.dtype) -> Tensor:
    across = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=dtype) / 8
    return torch.stack([across, across.T])[:, None]


def gradient_magnitude(images: Tensor, radius: int = BLUR_RADIUS) -> Tensor:
    """Return the slope `[B, 1, H, W]` (Sobel) of the slightly blurred luminance, per pixel."""
    y = luminance(images)
    kernel = sent(_binomial(radius, y.dtype), y.device)
    y = F.pad(y, (radius + 1,) * 4, mode="replicate")
    y = exact_conv2d(exact_conv2d(y, kernel[None, None, None]), kernel[None, None, :, None])
    gradient = exact_conv2d(y, sent(_sobel(y.dtype), y.device))
    slope: Tensor = (gradient.square().sum(1, keepdim=True) + FLOOR**2).sqrt() - FLOOR
    return slope


def edge_map(images: Tensor, radius: int = BLUR_RADIUS) -> Tensor:
    """Return the edge strength `[B, 1, H, W]`, in [0, 1).

    `g / (g + mean(g))` with g the gradient magnitude and the mean over the picture: it matters
    where outlines are, more than how strong they are, and contrast does not matter at all.
    """
    strength = gradient_magnitude(images, radius)
    return strength / (strength + strength.mean((2, 3), keepdim=True) + 1e-6)
