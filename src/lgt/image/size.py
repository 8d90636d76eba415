"""How large a picture becomes, and in which steps."""

from __future__ import annotations

REDUCING_GAP = 3.0
"""How much larger than wanted a picture still is when the filter of resizing takes over."""


def limited_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Return a size with the same aspect whose longest side is at most `max_side` pixels."""
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size
    return max(1, round(size[0] * max_side / longest)), max(1, round(size[1] * max_side / longest))


def reducing_factors(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Return the whole numbers that Pillow's resizing first reduces a picture by."""
    across, down = (int(a / b / REDUCING_GAP) or 1 for a, b in zip(size, wanted, strict=True))
    return across, down
