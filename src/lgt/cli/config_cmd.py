"""`lgt config`: show, write and explain the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.options import ConfigOption, SetOption
from lgt.cli.say import echo
from lgt.config import config_to_dict, load_config
from lgt.config.document import commented_json, markdown, plain_text
from lgt.config.load import DEFAULT_NAME
from lgt.config.presets import PRESETS
from lgt.config.presets import preset as named
from lgt.config.reference import find_keys
from lgt.errors import InputError
from lgt.files import atomic_write

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def config() -> None:
    """Show, write and explain the configuration."""


@app.command()
def show(config: ConfigOption = None, set_: SetOption = None) -> None:
    """Print the values in force as JSON."""
    values = config_to_dict(load_config(config, set_ or ()))
    echo(json.dumps(values, indent=2, ensure_ascii=False))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path(DEFAULT_NAME),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    preset: Annotated[
        str,
        typer.Option(
            help="Values to write. "
            + "; ".join(f"{name}: {preset.meaning}" for name, preset in PRESETS.items())
            + "."
        ),
    ] = "default",
) -> None:
    """Write a configuration file with every key, its value and its meaning."""
    text = commented_json(named(preset))
    if path.exists() and not force:
        raise InputError(f"{path} exists; --force replaces it")
    if not path.parent.is_dir():
        raise InputError(f"folder {path.parent} does not exist; create it first")
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    echo(f"wrote {path}")


@app.command()
def explain(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[KEY]", help="A section, a key or section.key; default: all."),
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print all keys as a Markdown page.")
    ] = False,
) -> None:
    """Print what keys mean, their defaults and legal values."""
    echo(markdown().rstrip() if as_markdown else plain_text(find_keys(key)))
