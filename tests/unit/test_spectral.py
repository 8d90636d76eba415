"""Convolutions side by side, each of a slope of at most 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lgt.nn.spectral import bounded


def test_each_group_has_a_slope_of_one() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(12, 15, 3, groups=3)
    with torch.no_grad():
        convolution.weight[:5] *= 50
    bounded(convolution)
    for _ in range(60):
        weight = convolution.weight
    slopes = torch.linalg.matrix_norm(weight.reshape(3, 5, -1), ord=2)
    torch.testing.assert_close(slopes, torch.ones(3), atol=1e-3, rtol=0)


def test_a_single_group_is_as_of_the_library() -> None:
    """From the same vectors on, step by step; held in evaluation; with the same gradient."""
    torch.manual_seed(0)
    theirs, ours = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3)
    ours.load_state_dict(theirs.state_dict())
    spectral_norm(theirs)
    bounded(ours)
    parts: list[Any] = [x.parametrizations.weight for x in (theirs, ours)]
    known, unit = (part[0] for part in parts)
    unit.left, unit.right = known._u[None, :, None].clone(), known._v[None, :, None].clone()
    for mode in (True, True, False, False):
        x = torch.randn(2, 4, 5, 5)
        for side in (theirs, ours):
            side.train(mode)(x).square().sum().backward()
        torch.testing.assert_close(ours.weight, theirs.weight)
    grads = (part.original.grad for part in parts)  # Grouped convolutions add in another order.
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)
