"""Rows of the table: the factors of each style, their mean and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from lgt.errors import InputError
from lgt.metrics.bench import Bench
from lgt.metrics.bootstrap import bootstrap_weights, interval
from lgt.metrics.external import External
from lgt.metrics.extras import Extras
from lgt.metrics.features import Pictures
from lgt.metrics.judge import Factors

SHARES = {"accuracy", "grey_accuracy", "keep", "reach", "f"}
"""Numbers that can not exceed 1; none can be below 0."""
NAMES = tuple(f.name for f in fields(Factors))


@dataclass
class Row:
    """One line of the table."""

    name: str
    kind: str
    """`control` or `result`."""
    styles: dict[str, Factors]
    mean: Factors
    """Mean over the styles of every number, F included."""
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """Style, or `mean` -> number -> 95 % interval."""
    extras: dict[str, dict[str, float]] = field(default_factory=dict)
    """Style, or `mean` -> name of `lgt.metrics.extras.EXTRAS` or of an external metric -> value."""
    cost: dict[str, float] = field(default_factory=dict)
    """`seconds_per_image` and `peak_memory_mib`, where they are known."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "mean": self.mean.to_dict(),
            "styles": {style: factors.to_dict() for style, factors in self.styles.items()},
            "intervals": self.intervals,
            "extras": self.extras,
            "cost": self.cost,
        }


def mean_factors(styles: Mapping[str, Factors]) -> Factors:
    """Return the mean of each number over styles."""
    rows = list(styles.values())
    return Factors(**{n: float(np.mean([getattr(r, n) for r in rows])) for n in NAMES})


def evaluate(
    bench: Bench,
    name: str,
    outputs: Mapping[str, Pictures],
    *,
    extras: Extras | None = None,
    externals: Mapping[str, External] | None = None,
    kind: str = "result",
    replicates: int = 0,
) -> Row:
    """Judge the outputs of one method.

    Args:
        bench: What they are compared with.
        name: Of the method.
        outputs: Style -> one output per photo (or window), in the order of the bench's; styles
            that it does not judge are left out.
        extras: Computes the further numbers; None: without them.
        externals: Metrics of other packages, by name.
        kind: `control` or `result`; measurements of controls are cached.
        replicates: Bootstrap replicates; 0: no intervals.

    Raises:
        InputError: No style is among the bench's, or not one output per photo.
    """
    chosen = [style for style in bench.styles if style in outputs]
    if not chosen:
        raise InputError(f"{name}: none of its styles ({', '.join(outputs)}) has works to judge by")
    count, styles, draws, measured = len(bench.photos), {}, {}, {}
    num_photos = len(bench.data.names)  # Windows of one photo are drawn together.
    weights = np.tile(bootstrap_weights(num_photos, replicates), (1, count // num_photos))
    for style in chosen:
        if len(outputs[style]) != count:
            raise InputError(
                f"{name}: {len(outputs[style])} outputs in style {style} for {count} photos"
            )
        found = bench.measurer.measure(outputs[style], bench.sources, keep=kind == "control")
        hits = bench.referee.hits(found, style)
        styles[style] = bench.factors(style, found, hits)
        draws[style] = [bench.factors(style, found, hits, w) for w in weights]
        measured[style] = found
    row = Row(name, kind, styles, mean_factors(styles))
    if extras is not None:
        row.extras = extras.of(measured, outputs)
    for metric, function in (externals or {}).items():
        photos = bench.data.photos
        values = {s: function(outputs[s], photos, bench.real_pictures(s)) for s in chosen}
        for place, value in {**values, "mean": float(np.mean(list(values.values())))}.items():
            row.extras.setdefault(place, {})[metric] = value
    if replicates:
        draws["mean"] = [mean_factors({s: draws[s][r] for s in chosen}) for r in range(replicates)]
        points = {"mean": row.mean, **styles}
        row.intervals = {
            style: {name: _interval(drawn, points[style], name) for name in NAMES}
            for style, drawn in draws.items()
        }
    return row


def _interval(drawn: Sequence[Factors], point: Factors, name: str) -> tuple[float, float]:
    low, high = interval([getattr(d, name) for d in drawn], getattr(point, name))
    return max(0.0, low), min(1.0, high) if name in SHARES else high
