"""Schedules of a run as functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math

from torch import Generator

from lgt.seeds import derived


def learning_rate_at(
    step: int,
    *,
    peak: float,
    total_steps: int,
    warmup_steps: int,
    schedule: str = "cosine",
    min_ratio: float = 0.0,
) -> float:
    """Return the learning rate of step `step` (from 0).

    Linear from `peak / warmup_steps` to `peak`, then constant or along half a cosine to
    `peak * min_ratio` at `total_steps`.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * (min_ratio + (1 - min_ratio) * cosine)


def ema_decay_at(step: int, decay: float) -> float:
    """Return the averaging decay of step `step` (from 1): `min(decay, (1 + step) / (10 + step))`.

    Early averages follow the network closely, so that the random start is soon forgotten.
    """
    return min(decay, (1 + step) / (10 + step))


def step_generator(seed: int, step: int, rank: int = 0) -> Generator:
    """Return the CPU generator of all random choices of one step of one process.

    A step's randomness depends on (seed, step, rank) alone: a resumed run repeats what an
    uninterrupted one does, and processes differ.
    """
    return derived(seed, step, rank)
