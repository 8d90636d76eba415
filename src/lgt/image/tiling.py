"""Where the tiles of a large picture lie, in latents; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

Area = tuple[int, int, int, int]
"""Top, bottom, left and right of a rectangle."""


def areas_of(height: int, width: int, tile: int, halo: int) -> Iterator[tuple[Area, Area]]:
    """Yield each tile's own rectangle and the one it sees, `halo` larger where there is room."""
    rows, columns = (math.ceil(n / math.ceil(n / tile)) for n in (height, width))
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            bottom, right = min(top + rows, height), min(left + columns, width)
            seen = (
                max(top - halo, 0),
                min(bottom + halo, height),
                max(left - halo, 0),
                min(right + halo, width),
            )
            yield (top, bottom, left, right), seen


def slices(area: Area, factor: int = 1) -> tuple[slice, slice]:
    """Return rows and columns of what is `factor` times as large."""
    return slice(area[0] * factor, area[1] * factor), slice(area[2] * factor, area[3] * factor)


def inside(own: Area, seen: Area) -> Area:
    """Return a tile's own rectangle in the coordinates of what it sees."""
    top, left = own[0] - seen[0], own[2] - seen[2]
    return top, top + own[1] - own[0], left, left + own[3] - own[2]
