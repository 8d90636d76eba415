"""One path from a source latent to a stylised latent, in numpy; :mod:`lgt.dynamics` with torch.

All of a batch have one time, and nothing is differentiable: painting needs no more.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from lgt.paint.sampler import Sampler
from lgt.runtime.noise import Noise

Array = np.ndarray[Any, np.dtype[np.float32]]

Velocity = Callable[[Array, float], Array]
"""Maps states `[B, ...]` and their time to the drift `dx/dt`."""

EVALUATIONS = {"euler": 1, "heun": 2}
"""Of the velocity in one step of a solver."""

SMALLEST = 1e-6
"""Least spread that a guided velocity is scaled by."""


def integrate(
    velocity: Velocity,
    x_src: Array,
    sampler: Sampler,
    noise: Noise,
    *,
    is_noise_shared: bool = False,
) -> Array:
    """Return `x_1`, at the end of the sampler's steps; see :func:`lgt.dynamics.integrate`.

    Args:
        velocity: The drift, guided where the sampler is.
        x_src: Scaled source latents `[B, C, h, w]`.
        sampler: Steps, solver, start and noise.
        noise: Draws the noise.
        is_noise_shared: Draw it once for all of the batch.
    """
    shape = (1, *x_src.shape[1:]) if is_noise_shared else x_src.shape
    start, x = 0.0, x_src
    if sampler.begins != "source":
        start = sampler.start_time if sampler.begins == "noised_source" else 0.0
        x = np.float32(1 - start) * noise.normal(shape) + np.float32(start) * x_src
    count = sampler.num_steps
    grid = [start + (1 - start) * (i / count) for i in range(count + 1)]
    for number, (t, t_next) in enumerate(pairwise(grid), start=1):
        x = _step(velocity, x, t, t_next, sampler.solver)
        sigma = sampler.sigma(t) * (t_next - t) ** 0.5
        if sigma > 0 and number < count:
            x = x + np.float32(sigma) * noise.normal(shape)
    return x


def guided(conditional: Velocity, unconditional: Velocity, sampler: Sampler) -> Velocity:
    """Return `u + s(t) (c - u)`, rescaled; see :func:`lgt.dynamics.guided`."""

    def wrapped(x: Array, t: float) -> Array:
        c, u = conditional(x, t), unconditional(x, t)
        scale = 1 + (sampler.cfg_scale - 1) * ((1 - t) if sampler.cfg_decay else 1)
        drift = u + np.float32(scale) * (c - u)
        if not sampler.cfg_rescale:
            return drift
        spread, overshot = (v.std((1, 2, 3), ddof=1, keepdims=True) for v in (c, drift))
        share = np.float32(sampler.cfg_rescale)
        return np.asarray(drift * (1 - share + share * spread / np.maximum(overshot, SMALLEST)))

    return wrapped


def repelled(velocity: Velocity, own: Velocity, scale: float) -> Velocity:
    """Return `v + r (v - v_own)`; see :func:`lgt.dynamics.repelled`."""

    def wrapped(x: Array, t: float) -> Array:
        drift = velocity(x, t)
        return drift + np.float32(scale) * (drift - own(x, t))

    return wrapped


def beyond_one_step(sampler: Sampler) -> list[str]:
    """Return what of a sampler is more than one Euler step from a photo, without noise."""
    wrong = {
        "num_steps other than 1": sampler.num_steps != 1,
        "guidance (use_cfg)": sampler.is_guided,
        "training.start other than source": sampler.begins != "source",
        "training.solver other than euler": sampler.solver != "euler",
    }
    return [text for text, is_wrong in wrong.items() if is_wrong]


def _step(velocity: Velocity, x: Array, t: float, t_next: float, solver: str) -> Array:
    dt, drift = np.float32(t_next - t), velocity(x, t)
    if solver == "euler":
        return x + dt * drift
    return x + np.float32(0.5) * dt * (drift + velocity(x + dt * drift, t_next))
