"""Random crops of pictures, plain colours, and latents that no picture has."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.image import IMAGE_SUFFIXES, open_image, to_tensor


def load_pictures(folder: Path) -> list[Tensor]:
    """Return all pictures below a folder as uint8 `[3, H, W]`."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise SystemExit(f"no pictures below {folder}")
    return [(to_tensor(open_image(p))[0] * 255).round().byte() for p in paths]


def uniform(low: float, high: float, generator: Generator, *shape: int) -> Tensor:
    """Draw uniform values; a single one without a shape."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def random_crop(pictures: list[Tensor], side: int, generator: Generator) -> Tensor:
    """Draw a crop `[3, side, side]` in [0, 1]: scaled down at times, flipped, colours jittered."""
    picture = pictures[int(torch.randint(len(pictures), (), generator=generator))]
    limit = min(picture.shape[-2:])
    size = min(side, limit)
    if float(uniform(0, 1, generator)) < 0.4:
        size = int(torch.randint(size, limit + 1, (), generator=generator))
    top, left = (
        int(torch.randint(n - size + 1, (), generator=generator)) for n in picture.shape[-2:]
    )
    crop = picture[:, top : top + size, left : left + size].float() / 255
    if size != side:
        shape = (side, side)
        crop = F.interpolate(crop[None], shape, mode="bicubic", antialias=True)[0].clamp(0, 1)
    if float(uniform(0, 1, generator)) < 0.5:
        crop = crop.flip(-1)
    if float(uniform(0, 1, generator)) < 0.6:
        grey = crop.mean(0, keepdim=True)
        crop = grey + (crop - grey) * uniform(0.6, 1.5, generator)
        middle = crop.mean()
        crop = middle + (crop - middle) * uniform(0.8, 1.25, generator)
        crop = crop * uniform(0.85, 1.15, generator, 3, 1, 1) + uniform(-0.08, 0.08, generator)
    return crop.clamp(0, 1)


def plain_crop(side: int, generator: Generator) -> Tensor:
    """Draw a plain colour, or a gradient between two, at times with an edge."""
    first, second = uniform(0, 1, generator, 2, 3, 1, 1)
    kind = int(torch.randint(3, (), generator=generator))
    angle = float(uniform(0, 2 * math.pi, generator))
    axis = torch.linspace(-1, 1, side)
    ramp = (math.cos(angle) * axis[None] + math.sin(angle) * axis[:, None]) / 3 + 0.5
    mix = {0: torch.zeros_like(ramp), 1: ramp, 2: (ramp > 0.5).float()}[kind]
    crop: Tensor = (first + (second - first) * mix).clamp(0, 1)
    return crop


def move_latents(a: Tensor, b: Tensor, generator: Generator) -> Tensor:
    """Make latents `[C, h, w]` that no picture has of those of two pictures."""
    scale = 2 ** int(torch.randint(1, 4, (), generator=generator))

    def low(z: Tensor) -> Tensor:
        coarse = F.avg_pool2d(z[None], min(scale, *z.shape[-2:]))
        return F.interpolate(coarse, z.shape[-2:], mode="bilinear")[0]

    kind = int(torch.randint(3, (), generator=generator))
    if kind == 0:
        return low(a) + (b - low(b))
    if kind == 1:
        share = uniform(0, 0.7, generator, 1, 1, 1)
        return a + share * (b - b.mean((1, 2), keepdim=True))
    noise = torch.randn(a.shape, generator=generator) * uniform(0, 0.3, generator)
    gain, detail = uniform(0.7, 1.3, generator), uniform(0, 2, generator)
    return low(a) * gain + (a - low(a)) * detail + noise
