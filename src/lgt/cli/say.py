"""What commands print: names and texts of files among it, whose control characters are shown."""

from __future__ import annotations

import os

import typer

from lgt.names import visible


def echo(message: object = "", *, err: bool = False) -> None:
    """Print a line, as `typer.echo` does; a terminal obeys no code that stands in it.

    Args:
        message: What to print; its ends of lines stay.
        err: Whether it goes to standard error.
    """
    typer.echo(visible(str(message)), err=err)


def is_first() -> bool:
    """Tell whether this is the first process of several (`torchrun`), which speaks for all."""
    return os.environ.get("RANK", "0") == "0"
