"""`lgt report`: write the HTML report of a training run from its logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.say import echo


def report(
    checkpoint_dir: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT_DIR", help="checkpoint.save_dir of the run."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The file to write. [default: report.html in CHECKPOINT_DIR]"
        ),
    ] = None,
) -> None:
    """Write the HTML report of a training run: curves, pictures over time, settings, warnings.

    Training writes it at each checkpoint; this command does so at any time, also while it runs.
    """
    from lgt.report.run_page import write_report

    echo(write_report(checkpoint_dir, out))
