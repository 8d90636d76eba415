"""Linear discriminant analysis with shrinkage, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lgt.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearDiscriminant:
    """A classifier whose score of class k is `x . weights[k] + offsets[k]`."""

    weights: Array
    """`[K, D]`."""
    offsets: Array
    """`[K]`."""

    @classmethod
    def fit(
        cls, x: Array, labels: NDArray[np.intp], *, shrinkage: float = 0.1
    ) -> LinearDiscriminant:
        """Fit Gaussians of one covariance to labelled vectors; all classes are equally likely.

        With S the mean of the classes' covariances after each axis was scaled to unit deviation,
        the score is `m_k^T P x - m_k^T P m_k / 2`, `P = ((1 - s) S + s I)^-1`.

        Args:
            x: `[N, D]`.
            labels: `[N]`, integers 0 to K - 1, each at least once.
            shrinkage: s, in (0, 1]; more when there are few vectors for the dimensions.

        Raises:
            InputError: A class has no vector, or the shrinkage is out of range.
        """
        if not 0 < shrinkage <= 1:
            raise InputError(f"shrinkage must lie in (0, 1] (got {shrinkage})")
        counts = np.bincount(labels)
        if len(counts) < 2 or not counts.all():
            raise InputError(f"a discriminant needs vectors of two classes or more, got {counts}")
        scale = x.std(0) + 1e-8
        scaled = x / scale
        means = np.stack([scaled[labels == k].mean(0) for k in range(len(counts))])
        within = np.zeros((x.shape[1], x.shape[1]))
        for k in range(len(counts)):
            rest = scaled[labels == k] - means[k]
            within += rest.T @ rest / len(rest) / len(counts)
        level = np.trace(within) / len(within) + 1e-12
        within = (1 - shrinkage) * within + shrinkage * level * np.eye(len(within))
        projected = np.linalg.solve(within, means.T).T
        return cls(projected / scale, -0.5 * (projected * means).sum(1))

    def scores(self, x: Array) -> Array:
        """Return the scores `[N, K]` of vectors `[N, D]`."""
        return np.asarray(x @ self.weights.T + self.offsets)

    def predict(self, x: Array) -> NDArray[np.intp]:
        """Return the class `[N]` with the highest score."""
        return np.asarray(np.argmax(self.scores(x), axis=1))
