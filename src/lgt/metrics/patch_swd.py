"""Patch-SWD: sliced Wasserstein distance of pixel patches of two sets of pictures."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.energy.functional import sliced_wasserstein_sq


def random_patches(images: Tensor, size: int, count: int, generator: Generator) -> Tensor:
    """Draw `count` patches `[count, 3 size^2]` of pictures `[N, 3, H, W]` at random places."""
    height, width = images.shape[-2:]
    which = torch.arange(count) % len(images)
    rows = torch.randint(height - size + 1, (count,), generator=generator)
    columns = torch.randint(width - size + 1, (count,), generator=generator)
    steps = torch.arange(size)
    cut = images[
        which[:, None, None],
        :,
        (rows[:, None] + steps)[:, :, None],
        (columns[:, None] + steps)[:, None, :],
    ]
    return cut.permute(0, 3, 1, 2).flatten(1)  # indexing puts the channels last


def patch_swd(
    x: Tensor,
    y: Tensor,
    *,
    size: int = 7,
    scales: int = 3,
    count: int = 2048,
    num_projections: int = 64,
    seed: int = 0,
) -> float:
    """Return the sliced 2-Wasserstein distance of random patches, mean over scales.

    Args:
        x: Pictures `[N, 3, H, W]` in [0, 1].
        y: Pictures `[M, 3, H, W]`.
        size: Side of a patch in pixels.
        scales: Each halves the pictures; scales smaller than a patch are left out.
        count: Patches of each side.
        num_projections: Directions.
        seed: Of patches and directions.

    Returns:
        At least 0, in pixel values; near 0, not 0, for two samples of one set.
    """
    generator = Generator().manual_seed(seed)
    distances = []
    for _ in range(scales):
        if min(*x.shape[-2:], *y.shape[-2:]) < size:
            break
        patches = [random_patches(images, size, count, generator) for images in (x, y)]
        square = sliced_wasserstein_sq(
            *patches, num_projections=num_projections, generator=generator
        )
        distances.append(math.sqrt(max(0.0, float(square))))
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return sum(distances) / len(distances)
