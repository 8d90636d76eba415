"""Classifier-free guidance as a wrapper: a velocity in, a velocity out."""

from __future__ import annotations

import torch
from torch import Tensor

from lgt.dynamics.interpolant import expand_time
from lgt.dynamics.schedules import Schedule
from lgt.dynamics.solvers import Velocity


def guided(velocity: Velocity, scale: Schedule) -> Velocity:
    """Return `u + s(t) (c - u)`, evaluating both branches in one batch.

    Args:
        velocity: Answers a batch of 2 B states whose first half is conditional (c) and whose second
            half is unconditional (u).
        scale: Guidance scale s; 1 is off (the conditional branch alone), 0 unconditional.

    References:
        Ho and Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598.
        Note: their weight w is `s - 1`.
    """

    def wrapped(x: Tensor, t: Tensor) -> Tensor:
        conditional, unconditional = velocity(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        return unconditional + expand_time(scale(t), x) * (conditional - unconditional)

    return wrapped
