"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file; default: config.json of the working directory, if there is one.",
    ),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="SECTION.KEY=VALUE",
        help="Change one configuration key, such as inference.num_steps=4 (`lgt config explain` "
        "lists them); may be given several times.",
    ),
]

DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda`, `cuda:1` or `mps`.",
    ),
]

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Checkpoint of `lgt train` or `lgt pack`, or `embedded`, the model inside the "
        "package. [default: checkpoints/latest.pt if there is one, else embedded]",
    ),
]

LATEST = Path("checkpoints/latest.pt")
"""The checkpoint of the working directory that is taken when no model is named."""


def choose_model(named: str | None) -> str:
    """Return the named model or the default one; say on standard error which default it is."""
    if named is not None:
        return named
    if LATEST.is_file():
        typer.echo(f"model: {LATEST} (`--model embedded` takes the shipped one)", err=True)
        return str(LATEST)
    typer.echo("model: embedded", err=True)
    return "embedded"
