"""Read configuration text: JSON with comments and trailing commas (JSON5)."""

from __future__ import annotations

import re
from typing import Any

import json5

from lgt.errors import ConfigError

_MAX_DEPTH = 50
"""Levels of brackets; a configuration has three."""
_TWICE = re.compile(r'Duplicate key "(.*)" found')
_LOCATION = re.compile(r"<string>:(\d+) (.*) at column (\d+)$", re.DOTALL)


def parse_text(text: str, source_name: str) -> dict[str, Any]:
    """Parse a configuration file's text.

    Args:
        text: JSON; `//` and `/* */` comments and trailing commas are allowed.
        source_name: what error messages call the text.

    Returns:
        The outermost object.

    Raises:
        ConfigError: the text is not JSON, names a key twice or is not an object.
    """
    _check_nesting(text, source_name)
    try:
        value: Any = json5.loads(text, allow_duplicate_keys=False)
    except RecursionError:
        raise _too_deep(source_name) from None
    except (ValueError, OverflowError) as error:
        raise ConfigError(_explain(str(error), text, source_name)) from error
    if not isinstance(value, dict):
        raise ConfigError(
            f'{source_name} must hold an object of sections, {{"model": {{...}}, ...}}'
        )
    return value


def _check_nesting(text: str, source_name: str) -> None:
    """Refuse what the parser would be lost in; brackets within texts and comments count, too."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH:
        raise _too_deep(source_name)


def _too_deep(source_name: str) -> ConfigError:
    return ConfigError(
        f"{source_name} is nested too deeply: it must hold an object of sections, each of keys"
    )


def parse_value(text: str) -> Any:
    """Parse one value of `--set`; what is not JSON is taken as plain text."""
    try:
        return json5.loads(text, allow_duplicate_keys=False)
    except (ValueError, OverflowError, RecursionError):
        return text


def _explain(message: str, text: str, source_name: str) -> str:
    """Put line, column and the line itself into a syntax error."""
    if not text.strip():
        return f"{source_name} is empty; `lgt config init` writes a complete one"
    twice = _TWICE.search(message)
    if twice is not None:
        lines = [n for n, line in enumerate(text.splitlines(), 1) if f'"{twice[1]}"' in line]
        where = f" (see lines {', '.join(map(str, lines))})" if len(lines) > 1 else ""
        return f"{source_name}: key {twice[1]!r} is given twice in one object{where}; keep one"
    location = _LOCATION.search(message)
    if location is None:
        return f"{source_name} is not readable as JSON: {message}"
    line, column = int(location[1]), int(location[3])
    what = location[2][:1].lower() + location[2][1:]
    what = "unexpected end of line" if "\n" in what else what.replace('"""', "'\"'")
    source = text.splitlines()
    shown = source[line - 1] if line <= len(source) else ""
    return (
        f"{source_name} is not readable as JSON: line {line}, column {column}: {what}\n"
        f"  {shown}\n  {' ' * (column - 1)}^"
    )
