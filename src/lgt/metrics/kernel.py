"""Kernel distance of two sets of vectors: maximum mean discrepancy with a cubic kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lgt.errors import InputError

Array = NDArray[np.float64]


def cubic_kernel(x: Array, y: Array) -> Array:
    """Return `(x . y / D + 1)^3` for all pairs, `[N, M]`."""
    base = x @ y.T / x.shape[1] + 1
    return np.asarray(base * base * base)


def kernel_distance(x: Array, y: Array) -> float:
    """Estimate the squared maximum mean discrepancy without bias.

    `mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean k(x_i, y_j)`; about 0, and as
    often below as above it, for two samples of one distribution.

    Args:
        x: `[N, D]`, N at least 2.
        y: `[M, D]`, M at least 2.

    Note:
        It is not called KID: that is this distance of one Inception vector a picture.

    References:
        Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018, eq. 3,
        https://arxiv.org/abs/1801.01401

    Raises:
        InputError: Fewer than two vectors.
    """
    if min(len(x), len(y)) < 2:
        raise InputError(f"kernel_distance needs two vectors each, got {len(x)} and {len(y)}")

    def within(a: Array) -> float:
        kernel = cubic_kernel(a, a)
        return float((kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2 * float(cubic_kernel(x, y).mean())
