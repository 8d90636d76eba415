"""Describe every configuration key from the schema itself: meaning, default, legal values."""

from __future__ import annotations

import json
import types
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from lgt.config.problems import SECTIONS
from lgt.config.removed import REMOVED, refusal
from lgt.config.schema import Config
from lgt.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLURAL = {"whole number": "whole numbers", "number": "numbers", "text": "texts"}
_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
}


@dataclass(frozen=True)
class Key:
    """One configuration key as a reader needs it."""

    section: str
    name: str
    default: Any
    legal: str
    meaning: str

    @property
    def dotted(self) -> str:
        """Return `section.key`."""
        return f"{self.section}.{self.name}"

    @property
    def default_json(self) -> str:
        """Return the default as it stands in `config.json`."""
        return json.dumps(self.default)


def all_keys() -> list[Key]:
    """List the keys of all sections in the schema's order."""
    defaults = Config().model_dump(mode="json")
    return [
        Key(
            section,
            name,
            defaults[section][name],
            legal_values(field),
            " ".join((field.description or "").split()),
        )
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    ]


def section_meaning(section: str) -> str:
    """Return the one-line description of a section."""
    return " ".join((SECTIONS[section].__doc__ or "").split())


def find_keys(name: str | None) -> list[Key]:
    """Select keys by `section`, `section.key` or `key`; None selects all.

    Raises:
        InputError: nothing has that name; similar names are suggested.
    """
    keys = all_keys()
    if name is None:
        return keys
    found = [key for key in keys if name in {key.section, key.dotted, key.name}]
    if not found:
        for dotted in REMOVED:
            if name in (dotted, dotted.partition(".")[2]):
                raise InputError(str(refusal(*dotted.split("."))))
        names = [*SECTIONS, *(key.dotted for key in keys), *(key.name for key in keys)]
        close = get_close_matches(name, names, n=2)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else f"sections: {', '.join(SECTIONS)}"
        )
        raise InputError(f"no configuration key or section is called {name!r}; {hint}")
    return found


def legal_values(field: FieldInfo) -> str:
    """Say which values a key takes, such as `whole number, at least 1`."""
    return _describe_type(field.annotation, field.metadata)


def _describe_type(annotation: Any, metadata: Iterable[Any]) -> str:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _describe_type(inner, [*more, *metadata])
    bounds, remarks = _constraints(metadata)
    words = [_name(annotation), *_range(bounds), *remarks]
    return ", ".join(words)


def _name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        items = get_args(annotation)
        kind, _, rest = _describe_type(items[0], []).partition(", ")
        each = f", each {rest}" if rest else ""
        count = "" if Ellipsis in items else f"{len(items)} "
        return f"list of {count}{_PLURAL.get(kind, kind)}{each}"
    if get_origin(annotation) is dict:
        kind, _, rest = _describe_type(get_args(annotation)[1], []).partition(", ")
        return f"object of names and {_PLURAL.get(kind, kind)}, each {rest}"
    if isinstance(annotation, types.UnionType):
        return " or ".join(_name(choice) for choice in get_args(annotation))
    return _NAMES.get(annotation, "null" if annotation is type(None) else str(annotation))


def _constraints(metadata: Iterable[Any]) -> tuple[dict[str, Any], list[str]]:
    """Collect bounds by name, and the remarks that validators carry as docstrings."""
    bounds: dict[str, Any] = {}
    remarks: list[str] = []
    for item in metadata:
        if isinstance(item, FieldInfo):
            inner, more = _constraints(item.metadata)
            bounds |= inner
            remarks += more
        elif isinstance(item, AfterValidator):
            remarks.append((item.func.__doc__ or "").rstrip(".").lower())
        else:
            for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length"):
                value = getattr(item, name, None)
                if value is not None:
                    bounds[name] = value
    return bounds, [remark for remark in remarks if remark]


def _range(bounds: dict[str, Any]) -> list[str]:
    words = []
    if "ge" in bounds and "le" in bounds:
        words.append(f"from {bounds['ge']} to {bounds['le']}")
    else:
        patterns = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
        words += [text.format(bounds[key]) for key, text in patterns.items() if key in bounds]
    if "multiple_of" in bounds:
        words.append(f"a multiple of {bounds['multiple_of']}")
    if bounds.get("min_length") == 1:
        words.append("one or more")
    return words
