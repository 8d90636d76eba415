"""`lgt memory`: what a training takes of a GPU, before it is started."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from lgt.cli.options import ConfigOption, SetOption, refuse_unread
from lgt.cli.say import echo
from lgt.errors import InputError

READ_KEYS = ("model", "loss", "training", "data", "inference")
"""Sections of the configuration that a training step is made of."""
BATCH_SIZES = (4, 8, 16, 32)
SIDES = (256, 512)
FEWEST_BYTES = 1e6
"""A number without unit below this was meant in some other unit."""
UNITS = {"": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


def memory(
    config: ConfigOption = None,
    set_: SetOption = None,
    device_memory: Annotated[
        str | None,
        typer.Option(
            "--device_memory",
            "--device-memory",
            metavar="SIZE",
            help="Memory of the device, as 8GB or 7.5GiB: marks what does not fit, and ends with "
            "an error if the configuration's own batch size does not.",
        ),
    ] = None,
    num_latents: Annotated[
        int,
        typer.Option(
            "--num_latents", "--num-latents", min=1, help="Latents of all styles together."
        ),
    ] = 2000,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=64, help="Side of the pictures in pixels, several times for several.  [256, 512]"
        ),
    ] = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Count as on a CPU: no CUDA, other autocast.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, in bytes.")] = False,
) -> None:
    """Print the memory of a training, in GiB, by batch size and picture size.

    One small step runs on the CPU, and the bytes of its tensors are counted.
    """
    from lgt.config import load_config
    from lgt.train.memory import GIB, MemoryEstimate, advice, estimate, measure_step

    refuse_unread(set_, "lgt memory", READ_KEYS)
    settings = load_config(config, set_ or [])
    limit = None if device_memory is None else bytes_of(device_memory)
    own = settings.training.batch_size
    found: dict[tuple[int, int], MemoryEstimate] = {}
    for side in size or SIDES:
        step = measure_step(settings, side // 8, cuda=not cpu)
        for batch_size in sorted({*BATCH_SIZES, own}):
            found[side, batch_size] = estimate(
                settings, step, batch_size=batch_size, num_latents=num_latents, cuda=not cpu
            )
    if as_json:
        for (side, batch_size), result in found.items():
            row = {"size": side, "batch_size": batch_size, **vars(result), "total": result.total}
            echo(json.dumps(row))
    else:
        parts = list(vars(next(iter(found.values()))))
        echo(" ".join(["size batch", *(f"{name:>10}" for name in parts), f"{'total':>8}", "GiB"]))
        for (side, batch_size), result in found.items():
            cells = [f"{value / GIB:10.2f}" for value in vars(result).values()]
            mark = "" if limit is None else ("fits" if result.total <= limit else "too large")
            line = " ".join(
                [f"{side:4} {batch_size:5}", *cells, f"{result.total / GIB:8.2f}", mark]
            )
            echo(line.rstrip())
    smallest = found[min(size or SIDES), own]
    if limit is not None and smallest.total > limit:
        raise InputError(
            f"training.batch_size {own} at {min(size or SIDES)} pixels takes about "
            f"{smallest.total / GIB:.1f} GiB, more than {device_memory}; try {advice(settings)}"
        )


def bytes_of(text: str) -> float:
    """Read a size such as `8GB` or `7.5 GiB`.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2].lower() not in UNITS or not float(match[1]):
        raise InputError(f"--device-memory: '{text}' is no size; write one as 8GB or 7.5GiB")
    if not match[2] and float(match[1]) < FEWEST_BYTES:
        raise InputError(f"--device-memory: {text} bytes are too few; write 8GB for 8 gigabytes")
    return float(match[1]) * UNITS[match[2].lower()]
