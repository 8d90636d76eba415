"""`lgt config`: show, write and explain the configuration."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import LATEST, ConfigOption, SetOption
from lgt.cli.say import echo
from lgt.config import config_to_dict, load_config
from lgt.config.document import commented_json, markdown, plain_text
from lgt.config.load import DEFAULT_NAME
from lgt.config.presets import PRESETS
from lgt.config.presets import preset as named
from lgt.config.reference import find_keys
from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.files import atomic_write

if TYPE_CHECKING:
    from lgt.data.fitted import Fitted

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
    ] = "",
    raw_data_root: Annotated[
        Path | None,
        typer.Option(
            "--raw_data_root",
            "--raw-data-root",
            help="Fit it to these folders of pictures, one a style: names, and a size at which "
            "their strokes show. The preset is then large, if none is given.",
        ),
    ] = None,
    photos: Annotated[
        str | None, typer.Option(help="The folder of photos among them; default: photo or photos.")
    ] = None,
) -> None:
    """Write a configuration file with every key, its value and its meaning."""
    if photos is not None and raw_data_root is None:
        raise InputError("--photos: names a folder of --raw_data_root; give that, too")
    values = named(preset or ("default" if raw_data_root is None else "large"))
    fitted = None
    if raw_data_root is not None:
        from lgt.data.fitted import fit_to_folders

        fitted = fit_to_folders(values, raw_data_root, photos)
    text = commented_json(values if fitted is None else fitted.config)
    if path.exists() and not force:
        raise InputError(
            f"{path} exists; give another name, such as own.json, or --force to replace it"
        )
    if not path.parent.is_dir():
        raise InputError(f"folder {path.parent} does not exist; create it first")
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    echo(f"wrote {path}")
    if fitted is not None:
        echo(_next_steps(fitted, raw_data_root, path))


def _next_steps(fitted: Fitted, root: Path | None, path: Path) -> str:
    """Say what was seen, and the commands that train with it."""
    data, save_dir = fitted.config.data, Path(fitted.config.checkpoint.save_dir)
    looks = fitted.config.loss.perceptual_network == "decoded"
    extra = f"  {pip_install('train')}\n" if looks else ""
    photos = shlex.quote(str(Path(root or "", data.source_subdirs[0])))
    last = shlex.quote(str(save_dir / LATEST.name))
    polish = f"\n  lgt polish {last} polished.pt --photos {photos}" if looks else ""
    return (
        f"{len(data.style_subdirs)} styles, {data.source_subdirs[0]} is painted over; half of the "
        f"works have a short side of {fitted.short_side} pixels or more. Go on with:\n"
        f"{extra}"
        f"  lgt preprocess --raw_data_root {shlex.quote(str(root))} "
        f"--output_root {data.data_root} --target_size {fitted.target_size}\n"
        f"  lgt train --config {shlex.quote(str(path))}{polish}"
    )


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
