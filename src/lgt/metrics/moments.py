"""First and second moments of patch features, a picture each; sets of pictures are their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of one layer's channel vectors over the positions of each of N pictures.

    All pictures have the same number of positions, so that the moments of a set are the means of
    those of its pictures.
    """

    mean: NDArray[np.floating]
    """`[N, C]`: E[f]."""
    second: NDArray[np.floating]
    """`[N, C (C + 1) / 2]`: the lower triangle of E[f f^T], row by row."""

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Measure a layer `[N, C, h, w]`."""
        flat = features.detach().double().flatten(2)
        second = flat @ flat.transpose(1, 2) / flat.shape[-1]
        rows, columns = np.tril_indices(flat.shape[1])
        return cls(flat.mean(2).numpy(), second.numpy()[:, rows, columns])

    @classmethod
    def stack(cls, parts: Sequence[Moments]) -> Moments:
        """Join the pictures of several."""
        return cls(
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.second for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, which: slice | list[int] | NDArray[np.intp]) -> Moments:
        return Moments(self.mean[which], self.second[which])

    @property
    def deviation(self) -> Array:
        """Standard deviation of each channel within each picture, `[N, C]`."""
        channels = self.mean.shape[1]
        diagonal = np.cumsum(np.arange(1, channels + 1)) - 1
        variance = self.second[:, diagonal].astype(np.float64) - self.mean.astype(np.float64) ** 2
        return np.sqrt(np.maximum(variance, 0))

    def pooled(self, weights: Array | None = None) -> tuple[Array, Array]:
        """Return mean `[C]` and covariance `[C, C]` over all positions of all pictures.

        Args:
            weights: How often each picture counts, `[N]`; None: once.
        """
        counts = np.ones(len(self)) if weights is None else np.asarray(weights, np.float64)
        counts = counts / counts.sum()
        mean = counts @ self.mean
        channels = len(mean)
        second = np.zeros((channels, channels))
        second[np.tril_indices(channels)] = counts @ self.second
        second += np.tril(second, -1).T
        return mean, second - np.outer(mean, mean)


def statistics(layers: Sequence[Moments]) -> Array:
    """Return the per-picture description `[N, 2 sum C]`: mean and deviation of every channel."""
    return np.concatenate([part for m in layers for part in (m.mean, m.deviation)], axis=1)
