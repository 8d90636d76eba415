"""Frechet distance of two Gaussians, and of the patch features of two sets of pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def matrix_root(matrix: Array) -> Array:
    """Return the symmetric root of a symmetric positive semi-definite matrix `[C, C]`."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def frechet_distance(
    mean: Array,
    covariance: Array,
    other_mean: Array,
    other_covariance: Array,
    *,
    other_root: Array | None = None,
) -> float:
    """Return the squared 2-Wasserstein distance of two Gaussians.

    `|m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)`; at least 0, in squared units of a feature.

    Args:
        mean: `[C]`.
        covariance: `[C, C]`.
        other_mean: `[C]`.
        other_covariance: `[C, C]`.
        other_root: `matrix_root(other_covariance)`, if it is at hand.

    Note:
        It is not called FID: that is this distance of one Inception vector a picture; here, of the
        vectors of all patches, on another network.

    References:
        Dowson, Landau, "The Frechet distance between multivariate normal distributions", 1982.
    """
    root = matrix_root(other_covariance) if other_root is None else other_root
    cross = np.linalg.eigvalsh(root @ covariance @ root)
    spread = np.trace(covariance) + np.trace(other_covariance)
    spread -= 2 * np.sqrt(np.maximum(cross, 0)).sum()
    return float(max(0.0, np.square(mean - other_mean).sum() + spread))
