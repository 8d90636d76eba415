"""`lgt pack`: a checkpoint as a small file for transfer alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.say import echo
from lgt.errors import InputError


def pack(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint of `lgt train`.")
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write; ends in .safetensors.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it exists.")
    ] = False,
) -> None:
    """Turn a checkpoint into a small file that only transfers.

    OUT holds the averaged weights in float16 and what inference needs: styles, codec,
    configuration. Folders of this machine are left out. Training can not go on from it.
    """
    from lgt.model.checkpoint import Checkpoint
    from lgt.model.release import SUFFIX, write_release

    if output.suffix != SUFFIX:
        raise InputError(f"{output}: OUT must end in {SUFFIX} (got '{output.suffix}')")
    if output.exists() and not overwrite:
        raise InputError(f"{output} exists; replace it with --overwrite")
    loaded = Checkpoint.load(checkpoint)
    try:
        write_release(loaded, output)
    except OSError as error:
        raise InputError(f"{output}: can not be written ({error.strerror})") from error
    count = sum(weight.numel() for weight in loaded.inference_weights.values())
    echo(
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, {count / 1e6:.2f} million weights, "
        f"styles {', '.join(loaded.style_names)}"
    )
