"""Read a configuration: file, then `--set` overrides, then the schema's checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.config.problems import SECTIONS, validate
from lgt.config.removed import translated, without_removed
from lgt.config.sizes import too_large
from lgt.config.text import parse_text, parse_value
from lgt.damage import in_short, one_sentence
from lgt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lgt.config.schema import Config

DEFAULT_NAME = "config.json"
"""File that is read from the working directory when none is named."""


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read the configuration of a run.

    Args:
        path: JSON file, comments allowed; None reads `config.json` of the working directory if it
            exists and takes the defaults otherwise.
        overrides: `section.key=value` each, applied in order after the file.

    Returns:
        A checked configuration that can not be changed.

    Raises:
        ConfigError: the file is missing or not JSON, or a key is wrong; all wrong keys are listed.
    """
    if path is None:
        path = Path(DEFAULT_NAME)
        if not path.is_file():
            return parse_config("{}", overrides, "--set" if overrides else "configuration")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} does not exist; `lgt config init {path}` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {path} can not be read: {error}") from error
    return parse_config(text, overrides, str(path))


def parse_config(
    text: str, overrides: Sequence[str] = (), source_name: str = DEFAULT_NAME
) -> Config:
    """Build a configuration from a file's text.

    Args:
        text: JSON object of sections; absent keys keep their default.
        overrides: `section.key=value` each; a value that is not JSON is taken as plain text.
        source_name: what error messages call the text.

    Raises:
        ConfigError: lists every mistake of text and overrides together.
    """
    values = parse_text(text, source_name)
    malformed = [problem for item in overrides if (problem := _override(values, item))]
    return _checked(values, source_name, malformed)


def config_to_dict(config: Config) -> dict[str, Any]:
    """Return all keys as values that JSON can hold."""
    return config.model_dump(mode="json")


def config_from_dict(values: Mapping[str, Any], source_name: str = "configuration") -> Config:
    """Build a configuration from section -> key -> value, such as a checkpoint holds.

    Args:
        values: absent keys keep their default; removed ones are read as keys of today.
        source_name: what error messages call the values.

    Raises:
        ConfigError: lists every mistake.
    """
    with one_sentence(source_name, "a configuration", "write a new one", ConfigError):
        return _checked(translated(values), source_name, [])


def read_stored(values: Mapping[str, Any], source_name: str) -> tuple[Config, tuple[str, ...]]:
    """Build the configuration that a model was stored with, and say what of it is gone.

    Args:
        values: section -> key -> value; absent keys keep their default.
        source_name: what error messages call the values.

    Returns:
        The configuration without removed keys that nothing says today, and a sentence for each of
        these: the model paints without them, but is not trained further as it was.

    Raises:
        ConfigError: lists every mistake.
    """
    with one_sentence(source_name, "a configuration", "take another file", ConfigError):
        kept, gone = without_removed(translated(values))
        return _checked(kept, source_name, []), gone


def change_config(config: Config, overrides: Sequence[str], source_name: str) -> Config:
    """Return a configuration with some keys changed.

    Args:
        config: What to start from.
        overrides: `section.key=value` each.
        source_name: what error messages call the configuration.

    Raises:
        ConfigError: lists every mistake.
    """
    if not overrides:
        return config
    return parse_config(json.dumps(config_to_dict(config)), overrides, source_name)


def _checked(values: Mapping[str, Any], source_name: str, problems: list[str]) -> Config:
    try:
        config, found = validate(values)
        found += [] if config is None else too_large(config)
    except Exception as error:  # Such as of numbers of thousands of digits.
        raise ConfigError(f"{source_name} can not be read ({in_short(error)})") from error
    problems = problems + found
    if config is None or problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"{source_name} has {count}:\n{lines}")
    return config


def _override(values: dict[str, Any], item: str) -> str | None:
    """Put one `section.key=value` into the values; return what is wrong with its form."""
    name, equals, text = item.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        return f"--set {item!r}: must be section.key=value, as in training.batch_size=8"
    keys = values.setdefault(section, {})
    if isinstance(keys, dict):
        keys[key] = _value_for(section, key, text.strip())
    return None


def _value_for(section: str, key: str, text: str) -> Any:
    """Parse an override's value; a key that holds text takes `2024` or `true` as text too."""
    value = parse_value(text)
    field = SECTIONS[section].model_fields.get(key) if section in SECTIONS else None
    if field is not None and field.annotation is str and not isinstance(value, str):
        return text
    return value
