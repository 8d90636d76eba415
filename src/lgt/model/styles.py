"""Styles as people name them: by name, by id, or as a blend of several."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from lgt.errors import InputError

Style: TypeAlias = int | str | Mapping[str, float] | Mapping[int, float] | Mapping[int | str, float]
"""A style by id or name, or a blend: styles and their weights."""


def find_style(style: int | str, names: Sequence[str]) -> int:
    """Return the id of a style given by name or id.

    Raises:
        InputError: There is no such style.
    """
    known = ", ".join(f"{i} {name}" for i, name in enumerate(names))
    if isinstance(style, str) and style in names:
        return names.index(style)
    if isinstance(style, int) or re.fullmatch("-?[0-9]+", style):
        if not 0 <= int(style) < len(names):
            raise InputError(f"style id {style}: must be 0 to {len(names) - 1} (styles: {known})")
        return int(style)
    close = difflib.get_close_matches(style, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise InputError(f"unknown style '{style}'{hint} (styles: {known})")


def blend_weights(style: Style, names: Sequence[str]) -> dict[int, float]:
    """Return the weight of each style id in a style or blend; they sum to 1, none is 0.

    Raises:
        InputError: There is no such style, or the weights are not those of a blend.
    """
    if not isinstance(style, Mapping):
        return {find_style(style, names): 1.0}
    weights: dict[int, float] = {}
    for name, weight in style.items():
        if not 0 <= weight < math.inf:
            raise InputError(f"blend: the weight of {name} must be at least 0 (got {weight})")
        style_id = find_style(name, names)
        weights[style_id] = weights.get(style_id, 0.0) + float(weight)
    total = sum(weights.values())
    if not total > 0:
        raise InputError(f"blend: one weight must be above 0 (got {dict(style)})")
    return {i: weight / total for i, weight in weights.items() if weight > 0}


def parse_blend(text: str) -> dict[str, float]:
    """Read `vangogh:0.6,monet:0.4`.

    Raises:
        InputError: A part is not NAME:WEIGHT, or a name comes twice.
    """
    blend: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight = part.strip().rpartition(":")
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not colon or not name or not math.isfinite(value):
            raise InputError(
                f"blend '{text}': '{part.strip()}' is not STYLE:WEIGHT; write vangogh:0.6,monet:0.4"
            )
        if name in blend:
            raise InputError(f"blend '{text}': '{name}' comes twice; give each style once")
        blend[name] = value
    return blend


def style_label(weights: Mapping[str, float]) -> str:
    """Return a blend as people read it: `vangogh`, or `vangogh 0.6 + monet 0.4`."""
    if len(weights) == 1:
        return next(iter(weights))
    return " + ".join(f"{name} {weight:.2g}" for name, weight in weights.items())
