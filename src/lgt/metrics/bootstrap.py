"""Bootstrap over photos: how far would the numbers move with other photos?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bootstrap_weights(count: int, replicates: int, seed: int = 0) -> Array:
    """Return how often each of `count` photos is drawn in each replicate, `[R, N]`; rows sum to N.

    Equal seeds give equal draws, so that rows of a table are compared on the same photos.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(count, np.full(count, 1 / count), size=replicates).astype(float)


def interval(
    values: Sequence[float] | Array, estimate: float, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval around an estimate that holds `level` of the bootstrap's spread.

    The percentiles of the replicates, moved by `estimate - median(replicates)`.

    Note:
        Without the move, distances of distributions have intervals beside them: a resample holds
        fewer different photos, and smaller sets lie further from anything.
    """
    drawn = np.asarray(values)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) - np.median(drawn)
    return estimate + float(low), estimate + float(high)
