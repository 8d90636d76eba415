"""Classifier-free guidance as a wrapper: a velocity in, a velocity out."""

from __future__ import annotations

import torch
from torch import Tensor

from lgt.dynamics.interpolant import expand_time
from lgt.dynamics.schedules import Schedule
from lgt.dynamics.solvers import Velocity


def guided(velocity: Velocity, scale: Schedule, *, rescale: float = 0.0) -> Velocity:
    """Return `g = u + s(t) (c - u)`, evaluating both branches in one batch.

    Args:
        velocity: Answers a batch of 2 B states whose first half is conditional (c) and whose second
            half is unconditional (u).
        scale: Guidance scale s; 1 is off (the conditional branch alone), 0 unconditional.
        rescale: Share p of `(1 - p + p std(c) / std(g)) g`: at 1 the guided velocity has the spread
            of the conditional one, sample by sample, and a large s can not overshoot.

    References:
        Ho and Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598.
        Note: their weight w is `s - 1`. Lin et al., Common Diffusion Noise Schedules and Sample
        Steps are Flawed, 2024, section 3.4, https://arxiv.org/abs/2305.08891 (the rescaling)
    """

    def wrapped(x: Tensor, t: Tensor) -> Tensor:
        conditional, unconditional = velocity(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        drift = unconditional + expand_time(scale(t), x) * (conditional - unconditional)
        if not rescale:
            return drift
        spread, overshot = (v.float().flatten(1).std(1) for v in (conditional, drift))
        factor = 1 - rescale + rescale * spread / overshot.clamp(min=1e-6)
        return drift * expand_time(factor.to(drift.dtype), drift)

    return wrapped


def repelled(velocity: Velocity, source_velocity: Velocity, scale: float) -> Velocity:
    """Return `v + r (v - v_source)`: away from what the source's own style would do.

    Args:
        velocity: Velocity v towards the wanted style, guided or not.
        source_velocity: Velocity towards the source's own style.
        scale: Strength r, at least 0; 0 is off.

    Note:
        The form of classifier-free guidance of scale `1 + r`, with the source's style in the place
        of the null style.
    """

    def wrapped(x: Tensor, t: Tensor) -> Tensor:
        drift = velocity(x, t)
        return drift + scale * (drift - source_velocity(x, t))

    return wrapped
