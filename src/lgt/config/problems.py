"""Find every mistake in a configuration and say each in plain words."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lgt.config.removed import refusal
from lgt.config.schema import Config
from lgt.config.wording import describe, dotted_name, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation  # type: ignore[misc]
    for name, field in Config.model_fields.items()
}
"""Name of a section -> its class."""


def validate(values: Mapping[str, Any]) -> tuple[Config | None, list[str]]:
    """Build a configuration, or list everything that is wrong with it.

    Keys with a wrong value are reported, then taken at their default, so that rules over several
    keys are checked in the same pass.

    Args:
        values: section -> key -> value as JSON gives them; absent keys keep their default.

    Returns:
        The configuration and no problem, or None and at least one problem.
    """
    problems = list(_unknown_names(values))
    known = _known_part(values, problems)
    config, errors = _try(known)
    wrong_keys = {dotted_name(error["loc"][:2]) for error in errors if len(error["loc"]) > 1}
    problems += list(dict.fromkeys(describe(error) for error in errors))
    if wrong_keys:
        for dotted in wrong_keys:
            section, _, key = dotted.partition(".")
            known[section].pop(key, None)
        _, errors = _try(known)
        rules = (describe(error) for error in errors)
        problems += [rule for rule in rules if not any(key in rule for key in wrong_keys)]
    return (None, problems) if problems else (config, [])


def _try(values: dict[str, dict[str, Any]]) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate_json(json.dumps(values), strict=True), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list with a wrong entry counts as too short as well.
        parents = {each["loc"][:-1] for each in found}
        return None, [e for e in found if e["type"] != "too_short" or e["loc"] not in parents]


def _unknown_names(values: Mapping[str, Any]) -> Iterator[str]:
    for section, keys in values.items():
        if section not in SECTIONS:
            yield f"unknown section {section!r}{_suggest_section(section)}"
        elif isinstance(keys, dict):
            for key in keys:
                if key not in SECTIONS[section].model_fields:
                    unknown = f"{section}: unknown key {key!r}{_suggest_key(section, key)}"
                    yield refusal(section, key) or unknown


def _known_part(values: Mapping[str, Any], problems: list[str]) -> dict[str, dict[str, Any]]:
    """Keep known sections and keys; whole numbers written as 1e3 or 2.0 become integers."""
    known: dict[str, dict[str, Any]] = {}
    for section, keys in values.items():
        if section not in SECTIONS:
            continue
        if not isinstance(keys, dict):
            problems.append(f"{section}: must be an object of keys (got {shown(keys)})")
            continue
        fields = SECTIONS[section].model_fields
        known[section] = {key: _whole(value) for key, value in keys.items() if key in fields}
    return known


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _suggest_section(name: str) -> str:
    homes = [section for section, model in SECTIONS.items() if name in model.model_fields]
    if homes:
        return "; did you mean " + " or ".join(f"{home}.{name}" for home in homes) + "?"
    close = get_close_matches(name, SECTIONS, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; sections are {', '.join(SECTIONS)}"


def _suggest_key(section: str, name: str) -> str:
    homes = [home for home, model in SECTIONS.items() if name in model.model_fields]
    if homes:
        return "; did you mean " + " or ".join(f"{home}.{name}" for home in homes) + "?"
    close = get_close_matches(name, SECTIONS[section].model_fields, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    everywhere = {key: home for home, model in SECTIONS.items() for key in model.model_fields}
    close = get_close_matches(name, everywhere, n=1, cutoff=0.75)
    if close:
        return f"; did you mean {everywhere[close[0]]}.{close[0]}?"
    return f"; `lgt config explain {section}` lists its keys"
