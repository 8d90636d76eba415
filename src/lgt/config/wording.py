"""Say a finding of the schema in plain words, with the value seen."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be an object of names and values",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have no more than {max_length} entries",
    "missing": "is absent; the list has too few entries",
    "literal_error": "must be one of {expected}",
}


def describe(error: ErrorDetails, *, has_sections: bool = True) -> str:
    """Return `section.key: what is wrong (got ...)` for one finding.

    A rule over several keys names its keys itself and is passed through, with the section before
    it when it belongs to one.

    Args:
        error: The finding.
        has_sections: Whether keys lie in sections; else the outermost names are keys.
    """
    location, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind == "value_error":
        text = str(context["error"])
        if len(location) < (2 if has_sections else 1):
            return ".".join([*map(str, location), text])
        return f"{dotted_name(location)}: {text}"
    words = _WORDS.get(kind)
    if words is None:
        words = error["msg"][:1].lower() + error["msg"][1:]
    else:
        words = words.format(**{key: _plain(value) for key, value in context.items()})
    seen = error["input"]
    return f"{dotted_name(location)}: {words} (got {shown(seen)}){_closest(kind, context, seen)}"


def dotted_name(location: tuple[int | str, ...]) -> str:
    """Write a place in the configuration as `section.key[index]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """Write a value as the user would in JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _closest(kind: str, context: dict[str, Any], seen: Any) -> str:
    """Suggest the choice that a misspelt one resembles."""
    if kind != "literal_error" or not isinstance(seen, str):
        return ""
    choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
    close = get_close_matches(seen, choices, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _plain(value: Any) -> Any:
    """Drop the `.0` of a bound such as 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
