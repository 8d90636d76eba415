"""All factors of one style for one set of outputs, given what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lgt.metrics.discriminant import LinearDiscriminant
from lgt.metrics.features import BRANCHES, Branch, Measured
from lgt.metrics.frechet import frechet_distance, matrix_root
from lgt.metrics.moments import statistics
from lgt.metrics.score import f_score, keep_score, reach_score

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """The numbers of one style; lower is better up to `grey_style`, then higher."""

    content: float
    """Feature distance to the sources; two unrelated photos: 1."""
    edges: float
    """Edge difference to the sources; two unrelated photos: 1."""
    style: float
    """Frechet patch distance to the real works; the photos: 1."""
    grey_style: float
    """The same without colour, with matched contrast."""
    accuracy: float
    """Share of outputs that the discriminant gives to the style."""
    grey_accuracy: float
    """The same without colour."""
    keep: float
    reach: float
    f: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return asdict(self)


class Referee:
    """Tells styles and photos apart: one discriminant in colour, one in grey.

    Args:
        examples: Measured training works of each style, and photos; the order gives the classes.
        shrinkage: Of the discriminants, in (0, 1].
    """

    def __init__(self, examples: Mapping[str, Measured], shrinkage: float = 0.1) -> None:
        self.classes = list(examples)
        labels = np.repeat(np.arange(len(examples)), [len(m) for m in examples.values()])
        self._discriminants = {}
        for name in BRANCHES:
            rows = [statistics(getattr(m, name).layers) for m in examples.values()]
            self._discriminants[name] = LinearDiscriminant.fit(
                np.concatenate(rows), labels, shrinkage=shrinkage
            )

    def hits(self, outputs: Measured, style: str) -> dict[str, Array]:
        """Tell which outputs are recognised as the style, in colour and in grey; `[N]`, 0 or 1."""
        wanted = self.classes.index(style)
        return {
            name: np.asarray(
                discriminant.predict(statistics(getattr(outputs, name).layers)) == wanted,
                np.float64,
            )
            for name, discriminant in self._discriminants.items()
        }


class Target:
    """The real works of one style, and the photos' distance to them.

    Args:
        works: Measured real works, half of them unseen in training.
    """

    def __init__(self, works: Measured) -> None:
        self._works = {}
        for name in BRANCHES:
            branch: Branch = getattr(works, name)
            pooled = [layer.pooled() for layer in branch.layers]
            self._works[name] = [(m, s, matrix_root(s)) for m, s in pooled]

    def distances(self, outputs: Measured, weights: Array | None = None) -> dict[str, Array]:
        """Return the Frechet patch distance of each layer, `[L]`, in colour and in grey."""
        result = {}
        for name in BRANCHES:
            branch: Branch = getattr(outputs, name)
            result[name] = np.array(
                [
                    frechet_distance(*layer.pooled(weights), mean, covariance, other_root=root)
                    for layer, (mean, covariance, root) in zip(
                        branch.layers, self._works[name], strict=True
                    )
                ]
            )
        return result


def judge(
    outputs: Measured,
    hits: Mapping[str, Array],
    target: Target,
    photo_distances: Mapping[str, Array],
    unrelated: Mapping[str, float],
    weights: Array | None = None,
) -> Factors:
    """Put the numbers of one style together.

    Args:
        outputs: Measured outputs, with distances to their sources.
        hits: From `Referee.hits`.
        target: The style.
        photo_distances: `target.distances(photos, weights)`.
        unrelated: From `Measurer.unrelated`.
        weights: How often each photo counts, `[N]`; None: once.
    """
    counts = np.ones(len(outputs)) if weights is None else weights
    content, edges = (
        float(np.average(outputs.content[name], weights=counts)) / unrelated[name]
        for name in ("content", "edges")
    )
    distances = target.distances(outputs, weights)
    style, grey_style = (
        float(np.mean(distances[name] / photo_distances[name])) for name in BRANCHES
    )
    accuracy, grey_accuracy = (float(np.average(hits[name], weights=counts)) for name in BRANCHES)
    keep = keep_score(content, edges)
    reach = reach_score(style, grey_style, (accuracy + grey_accuracy) / 2)
    return Factors(
        content,
        edges,
        style,
        grey_style,
        accuracy,
        grey_accuracy,
        keep,
        reach,
        f_score(keep, reach),
    )
