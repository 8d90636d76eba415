"""Spread of a set of pictures, and between two sets: from patches at fixed places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def _unit(patches: Array) -> NDArray[np.float64]:
    values = patches.astype(np.float64)
    return np.asarray(values / (np.linalg.norm(values, axis=-1, keepdims=True) + 1e-10))


def pairwise_distance(patches: Array) -> float:
    """Return the mean feature distance of all pairs of N pictures, in [0, 4].

    Mean over pairs and places of `|u_i - u_j|^2`, u the unit-length channel vectors; in closed form
    `2 N / (N - 1) (1 - |mean u|^2)`.

    Args:
        patches: `[N, P, C]`, N at least 2: channel vectors at the same P places of each picture.
    """
    count = len(patches)
    centre = _unit(patches).mean(0)
    return float(2 * count / (count - 1) * (1 - np.square(centre).sum(-1).mean()))


def paired_distance(x: Array, y: Array) -> float:
    """Return the mean feature distance of pictures `[N, P, C]` to their partners."""
    return float(np.square(_unit(x) - _unit(y)).sum(-1).mean())
