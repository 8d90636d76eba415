"""Feature distance: how far two pictures are in the eyes of an image network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lgt.errors import InputError


def unit_length(features: Tensor, eps: float = 1e-10) -> Tensor:
    """Scale the channel vector at every position of `[B, C, h, w]` to length 1."""
    return features / (features.square().sum(1, keepdim=True) + eps).sqrt()


def feature_distance(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Return the distance `[B]` of two lists of layers `[B, C, h, w]`.

    Squared difference of unit-length channel vectors, mean over positions, mean over layers; in
    [0, 4] (a layer of non-negative features: [0, 2]), 0 for equal features.

    Note:
        This is LPIPS without its learned channel weights, and not on its networks; so it is not
        called LPIPS.

    References:
        Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
        Perceptual Metric", 2018, eq. 1, https://arxiv.org/abs/1801.03924

    Raises:
        InputError: The lists differ in length or shape, or are empty.
    """
    if len(x) != len(y) or not x or any(a.shape != b.shape for a, b in zip(x, y, strict=True)):
        shapes = [list(a.shape) for a in x], [list(b.shape) for b in y]
        raise InputError(f"feature_distance needs two equal lists of layers, got shapes {shapes}")
    layers = [
        (unit_length(a.float()) - unit_length(b.float())).square().sum(1).mean((1, 2))
        for a, b in zip(x, y, strict=True)
    ]
    return torch.stack(layers).mean(0)
