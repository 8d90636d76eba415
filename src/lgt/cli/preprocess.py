"""`lgt preprocess`: folders of images to folders of latents."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lgt.cli.options import (
    AddressOption,
    ConfigOption,
    EngineOption,
    RayWorkersOption,
    SetOption,
    choose_spread,
    refuse_unread,
)
from lgt.cli.say import echo
from lgt.errors import InputError

if TYPE_CHECKING:
    from lgt.data.preprocess import PreprocessReport

READ_KEYS = ("data.codec", "data.num_workers")
"""Keys of the configuration that preprocessing acts by."""


def preprocess(
    raw_data_root: Annotated[
        Path,
        typer.Option(
            "--raw_data_root",
            "--raw-data-root",
            help="Folder with one folder of images per style; may lie in an object store (s3://…).",
        ),
    ],
    output_root: Annotated[
        Path,
        typer.Option(
            "--output_root", "--output-root", help="Folder for the latents; made if missing."
        ),
    ],
    target_size: Annotated[
        int,
        typer.Option(
            "--target_size",
            "--target-size",
            help="Side of the encoded square, in pixels; a multiple of 8.",
        ),
    ] = 256,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            help="Image codec: auto, embedded, dct, dct:CHANNELS, a hub id such as "
            "stabilityai/sd-vae-ft-mse, or a local folder. [default: data.codec]",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch_size", "--batch-size", help="Pictures encoded at once.")
    ] = 8,
    num_crops: Annotated[
        int,
        typer.Option(
            "--num_crops",
            "--num-crops",
            help="Squares cut from each image; the first is the centre, the others lie at fixed "
            "places.",
        ),
    ] = 1,
    hflip: Annotated[
        bool, typer.Option("--hflip/--no_hflip", help="Also encode every picture mirrored.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite/--no_overwrite",
            help="Encode everything anew, also latents that were made with other settings.",
        ),
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU if there is one), cpu, cuda or cuda:1.")
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option("--precision", help="fp32, or bf16 (faster on GPUs and on recent CPUs)."),
    ] = "fp32",
    num_workers: Annotated[
        int | None,
        typer.Option(
            "--num_workers",
            "--num-workers",
            help="Threads that read and decode images. [default: data.num_workers]",
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="pt|shards",
            help="pt: a file for each latent; shards: safetensors files of 1,024, for millions of "
            "pictures, which training need not hold in memory.",
        ),
    ] = "pt",
    engine: EngineOption = "local",
    address: AddressOption = None,
    ray_workers: RayWorkersOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Turn folders of images into latents.

    RAW_DATA_ROOT/style0/img001.jpg becomes OUTPUT_ROOT/style0/img001.pt. What exists already and
    matches is skipped, so that a run can be stopped and started again at any time. Exit code: 0 if
    every image was used, 1 if some could not be, 2 for wrong arguments.
    """
    from lgt.cli.progress import count_bar
    from lgt.config import load_config
    from lgt.data.preprocess import preprocess_folder
    from lgt.device import resolve_device, resolve_dtype

    refuse_unread(set_, "lgt preprocess", READ_KEYS)
    if format_ not in ("pt", "shards"):
        raise InputError(f"--format must be pt or shards (got '{format_}')")
    if engine == "ray" and num_workers is not None:
        raise InputError("--num_workers is for --engine local; Ray's processes are --ray_workers")
    settings = load_config(config, set_ or ()).data
    where = str(resolve_device(device))
    try:
        with _plain_warnings(), count_bar("encoding", "images") as show:
            report = preprocess_folder(
                raw_data_root,
                output_root,
                target_size=target_size,
                codec=codec or settings.codec,
                device=where,
                dtype=resolve_dtype(precision),
                batch_size=batch_size,
                num_crops=num_crops,
                hflip=hflip,
                overwrite=overwrite,
                num_workers=settings.num_workers if num_workers is None else num_workers,
                spread=choose_spread(engine, address, ray_workers, where),
                is_sharded=format_ == "shards",
                progress=show,
            )
    except KeyboardInterrupt:
        echo("stopped; run the same command again to go on", err=True)
        raise
    _print_report(report, output_root)
    if report.failed:
        raise typer.Exit(1)


def _print_report(report: PreprocessReport, output_root: Path) -> None:
    from lgt.cli.progress import print_failures

    counts = f"{len(report.written)} written, {len(report.skipped)} already there"
    if report.removed:
        counts += f", {len(report.removed)} outdated deleted"
    echo(f"{output_root}: {counts}")
    if report.left_out:
        print_failures(report.left_out, "picture(s) or link(s) left out")
    if report.failed:
        print_failures(report.failed, "image(s) could not be used")


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings as one message on standard error, without file name and line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
