"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.say import echo
from lgt.errors import InputError

if TYPE_CHECKING:
    from lgt.cluster import Spread

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
        "lists them); may be given several times. A key that the command does not act by is "
        "refused.",
    ),
]


def present(device: str | None) -> str | None:
    """Refuse a device that is not there; torch is not loaded for what needs no look."""
    if device not in (None, "auto", "cpu", "openvino", "onnx"):
        from lgt.device import resolve_device

        resolve_device(device)
    return device


_DEVICES = "`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda`, `cuda:1` or `mps`."
AnyDeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help=_DEVICES)]
"""Of a command that tells of devices, there or not."""
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="DEVICE", callback=present, help=_DEVICES)
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


def refuse_unread(overrides: Sequence[str] | None, command: str, reads: Sequence[str]) -> None:
    """Refuse `--set` of keys that a command does not act by.

    Args:
        overrides: `section.key=value` each; what is no key at all is left to the configuration.
        command: The command's name.
        reads: Sections, and single `section.key`.

    Raises:
        InputError: Names all such keys.
    """
    if not overrides:
        return
    from lgt.config.problems import SECTIONS

    unread = []
    for item in overrides:
        name = item.partition("=")[0].strip()
        section, _, key = name.partition(".")
        is_key = section in SECTIONS and key in SECTIONS[section].model_fields
        if is_key and section not in reads and name not in reads:
            unread.append(name)
    if unread:
        raise InputError(
            f"--set {', '.join(dict.fromkeys(unread))}: would have no effect, as {command} does "
            f"not act by it; of the configuration it reads {', '.join(reads)}"
        )


def choose_model(named: str | None) -> str:
    """Return the named model or the default one; say on standard error which default it is."""
    if named is not None:
        return named
    if LATEST.is_file():
        echo(f"model: {LATEST} (`--model embedded` takes the shipped one)", err=True)
        return str(LATEST)
    echo("model: embedded", err=True)
    return "embedded"


EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="local: this process; ray: Ray Data on the cores of this machine, or on a cluster "
        "(extra cluster).",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster to work on, such as auto or ray://HOST:10001. [default: this machine]"
    ),
]
RayWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--ray_workers",
        "--ray-workers",
        min=1,
        help="Processes of Ray that hold the model. [default: one for each core, or GPU]",
    ),
]


def choose_spread(
    engine: str, address: str | None, workers: int | None, device: str
) -> Spread | None:
    """Return where Ray is to work; None: this process does it.

    Raises:
        InputError: There is no such engine, or an option is for the other one.
    """
    from lgt.cluster import ENGINES, Spread

    if engine not in ENGINES:
        raise InputError(f"--engine must be one of {', '.join(ENGINES)} (got '{engine}')")
    if engine == "ray":
        return Spread(address, workers, uses_gpu=device.startswith("cuda"))
    for name, value in (("--address", address), ("--ray_workers", workers)):
        if value is not None:
            raise InputError(f"{name} is for --engine ray; add that, or leave {name} out")
    return None
