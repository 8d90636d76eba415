"""Files that may be damaged, or made to do harm: whatever is wrong ends in one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lgt.errors import InputError, LGTError

MAX_DEPTH = 100
"""Levels of JSON within JSON; what this program writes has five."""
MAX_TEXT = 10_000
"""Characters of a name or a hash."""
MAX_INTEGER = 2**63 - 1


@contextmanager
def one_sentence(
    path: Path | str, what: str, advice: str, error: type[LGTError] = InputError
) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one sentence.

    Args:
        path: The file.
        what: What it should be, with its article.
        advice: What to do.
        error: What is raised; an error of this program passes as it is.
    """
    try:
        yield
    except LGTError:
        raise
    except Exception as found:  # Readers of damaged data raise almost anything.
        raise error(f"{path}: damaged, or not {what} ({in_short(found)}); {advice}") from found


MOST_LETTERS = 160
"""Of a message of another program that ours repeat."""


def in_short(error: BaseException) -> str:
    """Return an error's type and the first line of its text, if it has any."""
    first = next(iter(str(error).splitlines()), "no details")
    if len(first) > MOST_LETTERS:
        first = f"{first[:MOST_LETTERS].rstrip()} ..."
    return f"{type(error).__name__}: {first}"


def read_json(text: str | bytes) -> Any:
    """Return what JSON says: only plain numbers that are finite, and no deep nesting.

    Raises:
        ValueError: It is none, or holds other things.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(value)
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20:  # Of 64 bits, with a sign.
        raise ValueError(f"the number {text[:20]}... has too many digits")
    return int(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def text_of(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a text of a file.

    Raises:
        TypeError: It is missing, or none.
    """
    value = values.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError(f"{name} must be text (got {_shown(value)})")
    return value


def flag_of(values: Mapping[str, Any], name: str, default: bool | None = None) -> bool:
    """Return a yes or no of a file.

    Raises:
        TypeError: It is missing, or neither.
    """
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false (got {_shown(value)})")
    return value


def count_of(
    values: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None
) -> int:
    """Return a whole number of a file.

    Raises:
        TypeError: It is missing, none, or out of its range.
    """
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise TypeError(f"{name} must be a whole number, {low} to {high} (got {_shown(value)})")
    return value


def number_of(
    values: Mapping[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    """Return a number of a file.

    Raises:
        TypeError: It is missing, none, or out of its range.
    """
    value = values.get(name, default)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise TypeError(f"{name} must be a number, {low:g} to {high:g} (got {_shown(value)})")
    return float(value)


def mapping_of(values: object, name: str) -> Mapping[str, Any]:
    """Return an object of a file.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise TypeError(f"{name} must be an object of named values (got {_shown(values)})")
    return values


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # A number of very many digits, or deep nesting.
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}..."
