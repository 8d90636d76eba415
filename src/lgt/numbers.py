"""What counts as a number among arguments from Python; True and False do not."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number by its type, numpy's among them."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Tell whether a value is a number by its type, numpy's among them."""
    return isinstance(value, Real) and not isinstance(value, bool)
