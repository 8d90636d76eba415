"""Kinds of values that configuration keys take, with their legal ranges.

The docstring of a validator is its range in the words of the reference.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lgt.seeds import MAX_SEED


def _odd(value: int) -> int:
    """Odd."""
    if value % 2 == 0:
        raise ValueError(f"must be odd (got {value})")
    return value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    """From low to high."""
    if value[0] > value[1]:
        raise ValueError(f"must go from low to high (got {list(value)})")
    return value


def leaves_labels(value: float) -> float:
    """Below 1."""
    if value >= 1:
        raise ValueError(
            f"must be below 1 (got {value:g}): no style label would ever reach the network, and "
            "all styles would be one; 0.1 suits guidance"
        )
    return value


def _style_names(value: tuple[str, ...]) -> tuple[str, ...]:
    """Not empty, each once."""
    if any(not name.strip() for name in value):
        raise ValueError(f"must not hold an empty name (got {list(value)})")
    twice = sorted({name for name in value if value.count(name) > 1})
    if twice:
        raise ValueError(f"must name each style once (twice: {', '.join(twice)})")
    return value


Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Odd = Annotated[int, Field(ge=1, le=15), AfterValidator(_odd)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Range = Annotated[tuple[Unit, Unit], AfterValidator(_ordered)]
Scales = Annotated[tuple[Count, ...], Field(min_length=1)]
Switch = Annotated[
    Literal["auto", "true", "false"],
    BeforeValidator(lambda value: str(value).lower() if isinstance(value, bool) else value),
]
StyleNames = Annotated[tuple[str, ...], AfterValidator(_style_names)]
