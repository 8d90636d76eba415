"""From distances to one number: keep, reach and F."""

from __future__ import annotations

EDGE_LIMIT = 0.6
"""Edge difference at which nothing of the content counts as kept."""


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def keep_score(content: float, edges: float) -> float:
    """Return how much of the photo is kept: `(1 - content) (1 - edges / 0.6)`, in [0, 1].

    Args:
        content: Feature distance to the source; 1 is that of two unrelated photos.
        edges: Edge difference to the source; 1 is that of two unrelated photos.
    """
    return _clip(1 - content) * _clip(1 - edges / EDGE_LIMIT)


def reach_score(style: float, grey_style: float, accuracy: float) -> float:
    """Return how near the style is: cube root of `(1 - style)(1 - grey style) accuracy`, in [0, 1].

    Args:
        style: Frechet patch distance to the style; 1 is that of the untouched photos.
        grey_style: The same without colour.
        accuracy: Share of outputs recognised as the style, mean of colour and grey.
    """
    return float((_clip(1 - style) * _clip(1 - grey_style) * _clip(accuracy)) ** (1 / 3))


def f_score(keep: float, reach: float) -> float:
    """Return `3 / (1 / keep + 2 / reach)`, the harmonic mean with reach counting twice.

    In [0, 1]; 0 if either is 0.
    """
    if keep <= 0 or reach <= 0:
        return 0.0
    return 3 / (1 / keep + 2 / reach)
