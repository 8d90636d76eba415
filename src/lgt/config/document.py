"""Write the configuration for readers: a commented `config.json`, and Markdown tables."""

from __future__ import annotations

import json
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from lgt.config.load import config_to_dict
from lgt.config.reference import Key, all_keys, section_meaning
from lgt.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDTH = 100
_OBVIOUS = {"true or false", "text"}


def commented_json(config: Config | None = None) -> str:
    """Write every key with its meaning and legal values as `//` comments.

    Args:
        config: the values to write; None writes the defaults.
    """
    values = config_to_dict(config or Config())
    sections = []
    for section, keys in groupby(all_keys(), key=lambda key: key.section):
        lines = [*_comment(section_meaning(section), 2), f'  "{section}": {{']
        group = list(keys)
        for key in group:
            comma = "" if key is group[-1] else ","
            remark = "" if key.legal in _OBVIOUS else f"[{key.legal}]"
            lines += _comment(key.meaning, 4, remark)
            lines.append(f'    "{key.name}": {json.dumps(values[section][key.name])}{comma}')
        lines.append("  }")
        sections.append("\n".join(lines))
    return "{\n" + ",\n\n".join(sections) + "\n}\n"


def plain_text(keys: Iterable[Key]) -> str:
    """Write keys for a terminal."""
    blocks = []
    for key in keys:
        blocks.append(f"{key.dotted} = {key.default_json}\n    {key.legal}")
        blocks[-1] += "".join(f"\n    {line}" for line in wrap(key.meaning, _WIDTH - 4))
    return "\n".join(blocks)


def markdown() -> str:
    """Write the reference page of all keys."""
    parts = [
        "# Configuration",
        "Every key of `config.json`: how a model is built, trained and sampled, with the default\n"
        "and the values that a key may have. Those that matter first stand in\n"
        "[own-model.md](own-model.md#configuration), whole recipes in [design.md](design.md).",
        "`lgt config init` writes a commented file with every key, `lgt config show` prints the\n"
        "values in force, `lgt config explain KEY` explains one key. `--set section.key=value`\n"
        "changes a key on any command that takes a configuration. This page is written from\n"
        "`src/lgt/config/schema.py` by `make docs`; a test holds the two equal.",
    ]
    for section, keys in groupby(all_keys(), key=lambda key: key.section):
        parts.append(f"## `{section}`")
        parts.append(section_meaning(section))
        parts.append(markdown_table(keys))
    return "\n\n".join(parts) + "\n"


def markdown_table(keys: Iterable[Key], *, dotted: bool = False) -> str:
    """Write a table with one key a row.

    Args:
        keys: the rows.
        dotted: write `section.key` instead of `key`.
    """
    lines = ["| Key | Default | Values | Meaning |", "| --- | --- | --- | --- |"]
    for key in keys:
        name = key.dotted if dotted else key.name
        cells = [f"`{name}`", f"`{key.default_json}`", key.legal, key.meaning]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _comment(text: str, indent: int, remark: str = "") -> list[str]:
    """Wrap a text as `//` lines; the remark is not broken over two of them."""
    prefix = f"{' ' * indent}// "
    lines = wrap(text, _WIDTH - len(prefix), break_on_hyphens=False)
    if remark and len(prefix) + len(lines[-1]) + 1 + len(remark) <= _WIDTH:
        lines[-1] += f" {remark}"
    elif remark:
        lines.append(remark)
    return [prefix + line for line in lines]
