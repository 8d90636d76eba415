"""Schedules: values that depend on time alone, `t -> number`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Schedule = Callable[[Tensor], Tensor]
"""Maps times `[B]` in [0, 1] to values `[B]`."""


def constant(value: float) -> Schedule:
    """Return a schedule that is `value` at every time."""
    return lambda t: torch.full_like(t, value)


def temperature(sigma: float, threshold: float) -> Schedule:
    """Return the phase-dependent diffusion coefficient: 0 for t < threshold, `sigma` from there on.

    Args:
        sigma: Diffusion coefficient of the late phase, in latent units per square root of time;
            the physical temperature is `sigma**2 / 2`. The config key `temperature_lambda` sets it.
        threshold: Time of the phase transition, in [0, 1]. At 1 no noise is ever added, since the
            solvers add none at the end of the path.
    """
    return lambda t: torch.where(t >= threshold, sigma, 0.0).to(t.dtype)


def decaying_guidance(scale: float) -> Schedule:
    """Return a guidance scale that falls linearly from `scale` at t = 0 to 1 (off) at t = 1."""
    return lambda t: 1 + (scale - 1) * (1 - t)


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """Return a schedule times a number."""
    return lambda t: factor * schedule(t)
