"""Keys that are gone: what a file that has one is told, and how stored configurations are read.

A configuration file or `--set` with such a key is refused, with what replaced it. A model that was
stored with it goes on working where its value is what is always done now, or where keys of today
say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Keys = Mapping[str, Any]
"""Keys of one section, with their values."""


@dataclass(frozen=True)
class Removed:
    """A key that is gone."""

    sentence: str
    """What replaced it, or what is always done now."""
    translate: Callable[[Any, Keys], Keys | None]
    """Its value and its section as stored -> keys of that section that say the same today; None if
    none do."""


def _only(value: Any) -> Callable[[Any, Keys], Keys | None]:
    """Say that a value is what is always done now, and others have no equivalent."""
    return lambda seen, _: {} if seen == value else None


def _whitening(seen: Any, loss: Keys) -> Keys | None:
    """Read whether texture was whitened; it says nothing where there is none."""
    is_free = loss.get("style_bands") == "raw" or loss.get("texture_gain") == 0
    return {} if seen is True or is_free else None


_ASSIGNED = "assigned_works=0 compares with random works, above 0 with assigned ones, in all bands"


def _assignment(_: Any, loss: Keys) -> Keys | None:
    """Read the three choices together: all for assigned works, or all for random ones.

    That of features counts where there are features.
    """
    names = ["texture_assignment", "palette_assignment"]
    if loss.get("feature_gain") != 0 and loss.get("perceptual_network") != "none":
        names.append("feature_assignment")
    chosen = [loss.get(name, True) for name in names]
    if all(choice is True for choice in chosen):
        return {}
    return {"assigned_works": 0} if all(choice is False for choice in chosen) else None


REMOVED: dict[str, Removed] = {
    "loss.w_anchor": Removed("raise color_gain against colours that change places", _only(0)),
    "loss.whiten": Removed(
        "style_bands=split whitens patches, raw leaves them as they are", _whitening
    ),
    "loss.texture_assignment": Removed(_ASSIGNED, _assignment),
    "loss.palette_assignment": Removed(_ASSIGNED, _assignment),
    "loss.feature_assignment": Removed(_ASSIGNED, _assignment),
    "loss.style_matching": Removed(
        "each output is compared alone; collection_gain compares a style's outputs together",
        _only("image"),
    ),
    "training.styles_per_batch": Removed(
        "a batch asks for all styles, as often as target_shares says", _only(0)
    ),
}
"""`section.key` -> what to say of it, and how to read it."""


def refusal(section: str, key: str) -> str | None:
    """Return the sentence that a key is refused with, or None if it never was one."""
    row = REMOVED.get(f"{section}.{key}")
    return None if row is None else f"{section}.{key}: was removed; {row.sentence}"


def translated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration in the keys of today.

    A removed key that has no equivalent stays, and is refused like any other.
    """
    found = {
        section: dict(keys) if isinstance(keys, Mapping) else keys
        for section, keys in values.items()
    }
    for dotted, row in REMOVED.items():
        section, _, key = dotted.partition(".")
        stored = values.get(section)
        if not isinstance(stored, Mapping) or key not in stored:
            continue
        same = row.translate(stored[key], stored)
        if same is not None:
            del found[section][key]
            found[section].update(same)
    return found


def without_removed(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a configuration without removed keys, and the sentence of each that it had."""
    found: dict[str, Any] = {}
    gone: list[str] = []
    for section, keys in values.items():
        if not isinstance(keys, Mapping):
            found[section] = keys
            continue
        sentences = {key: refusal(section, key) for key in keys}
        found[section] = {key: value for key, value in keys.items() if sentences[key] is None}
        gone += [text for text in sentences.values() if text is not None]
    return found, tuple(gone)
