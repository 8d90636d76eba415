"""What a user can turn while a picture is painted: strength, detail, colour, brush size, place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lgt.errors import InputError
from lgt.image import MAX_PIXELS
from lgt.numbers import is_real, is_whole

Progress = Callable[[float], None]
"""Is told the fraction done, in [0, 1]; what it raises stops the work."""

MIN_TILE, MIN_CANVAS = 64, 32
STYLE_SCALES = (0.25, 8.0)
MOST_REFINED = 200
"""Looks at a painting: by then it has long stopped changing."""


@dataclass(frozen=True)
class Controls:
    """How to paint, apart from the style; the defaults change nothing.

    Raises:
        InputError: A value is out of range.
    """

    strength: float = 1.0
    """0 is the photo, 1 the painting."""
    detail: float | None = None
    """Share of what the codec loses of the photo that is given back, in [0, 1]; None: what the
    model's configuration says."""
    color: float | None = None
    """Share of the photo's broad colours that is given back, in [0, 1]; None: what the model's
    configuration says."""
    preserve_color: bool = False
    """Whether the colours stay the photo's."""
    canvas: int | None = None
    """Short side, in pixels, at which pictures are painted: strokes do not depend on the camera.
    Larger photos are painted smaller and enlarged; 0: the photo's own; None: the model's."""
    style_scale: float = 1.0
    """Size of the strokes, as a factor: 2 paints at half the size and enlarges the result."""
    max_side: int | None = None
    """The picture is shrunk to this longest side first, in pixels."""
    refine: int = 0
    """Looks at the whole painting in which it goes on, down the energy that the model was trained
    by; 0: it is as the network paints it."""
    repulsion: float = 0.0
    """Strength of the push away from the source's own style, at least 0."""
    tile: int | None = None
    """Side of tiles in pixels; 0: never cut; None: chosen."""

    def __post_init__(self) -> None:
        for name in ("strength", "detail", "color", "style_scale", "repulsion"):
            value = getattr(self, name)
            is_known = is_real(value) or (value is None and name in ("detail", "color"))
            _check(is_known, name, "must be a number", repr(value))
        for name in ("canvas", "max_side", "tile"):
            value = getattr(self, name)
            _check(value is None or is_whole(value), name, "must be a whole number", repr(value))
        _check(
            is_whole(self.refine) and 0 <= self.refine <= MOST_REFINED,
            "refine",
            f"must be a whole number, 0 to {MOST_REFINED}",
            repr(self.refine),
        )
        low, high = STYLE_SCALES
        _check(0 <= self.strength <= 1, "strength", "must be 0 to 1", self.strength)
        for name in ("detail", "color"):
            value = getattr(self, name)
            _check(value is None or 0 <= value <= 1, name, "must be 0 to 1", value)
        _check(
            self.canvas is None or self.canvas == 0 or self.canvas >= MIN_CANVAS,
            "canvas",
            f"must be 0 (the photo's own size) or at least {MIN_CANVAS} pixels",
            self.canvas,
        )
        _check(
            low <= self.style_scale <= high,
            "style_scale",
            f"must be {low:g} to {high:g}",
            self.style_scale,
        )
        _check(
            self.max_side is None or self.max_side >= 1,
            "max_side",
            "must be at least 1 pixel",
            self.max_side,
        )
        _check(0 <= self.repulsion < math.inf, "repulsion", "must be at least 0", self.repulsion)
        _check(
            self.tile is None or self.tile == 0 or self.tile >= MIN_TILE,
            "tile",
            f"must be 0 (never cut) or at least {MIN_TILE} pixels",
            self.tile,
        )


def _check(is_right: bool, name: str, rule: str, seen: object) -> None:
    if not is_right:
        raise InputError(f"{name} {rule} (got {seen})")


def part_of(progress: Progress, low: float, high: float) -> Progress:
    """Return a progress that fills the part from `low` to `high` of another."""
    return lambda fraction: progress(low + fraction * (high - low))


def working_size(size: tuple[int, int], canvas: int, scale: float = 1.0) -> tuple[int, int]:
    """Return the size in which a picture is painted.

    Args:
        size: Of the picture.
        canvas: Short side that larger pictures are reduced to; 0: none are.
        scale: Size of the strokes; the result is 1 / scale of that.

    Raises:
        InputError: It would be too large.
    """
    short = min(size)
    factor = scale * (short / canvas if 0 < canvas < short else 1)
    if factor == 1:
        return size
    size = max(1, round(size[0] / factor)), max(1, round(size[1] / factor))
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"style_scale {scale:g} would paint {size[0]} x {size[1]} pixels, more than "
            f"{MAX_PIXELS}; use a larger one, a canvas, or max_side"
        )
    return size
