"""`lgt evaluate`: measure checkpoints and folders of results against photos and real works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.options import DeviceOption
from lgt.cli.say import echo
from lgt.seeds import MAX_SEED


def evaluate(
    photos: Annotated[Path, typer.Option(help="Folder of photos.")],
    styles: Annotated[
        Path, typer.Option(help="Folder with one folder of works per style, not seen in training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report; made if missing.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RESULT]...",
            help="Checkpoints, `embedded` for the model inside the package, or folders "
            "RESULT/STYLE/PHOTO.png; NAME=PATH names a row. "
            "[default: controls only]",
        ),
    ] = None,
    train_styles: Annotated[
        Path | None,
        typer.Option(
            "--train_styles",
            "--train-styles",
            help="The same of works seen in training; a folder named like that of the photos "
            "holds photos. [default: all works count as unseen]",
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Styles to judge, separated by commas. [default: all]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Most photos. [default: all]")] = None,
    max_works: Annotated[
        int, typer.Option("--max_works", "--max-works", min=2, help="Most works per style folder.")
    ] = 200,
    size: Annotated[
        int, typer.Option(min=64, help="Side of all pictures in pixels; of windows with --view.")
    ] = 256,
    view: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=64,
            help="Paint photos at their own size, reduced to PX on the longest side where larger, "
            "and judge twice: reduced to --size, and in windows of --size at full size against "
            "works with a short side of at least 560 px. Folders of results hold pictures of the "
            "photos' size; OUT/sheets shows them whole. [default: squares of --size]",
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Image codec of models and of RT. [default: the model's]")
    ] = None,
    backbone: Annotated[
        str,
        typer.Option(help="Image network of the distances: efficientnet-lite0, -lite1 or -lite2."),
    ] = "efficientnet-lite0",
    extra_metrics: Annotated[
        str | None,
        typer.Option(
            "--extra_metrics",
            "--extra-metrics",
            help="Metrics of other packages, separated by commas, if you have them and their "
            "weights: lpips, st-lpips, fid, clip, dino.",
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Replicates for the intervals; 0: no intervals.")
    ] = 100,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of cached features. [default: the user's cache]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of models and controls.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Measure checkpoints or folders of results against photos and real works.

    Writes report.json, report.md and report.html to the folder OUT, and prints the table. Exit
    code: 0, or 1 if an image could not be read, or 2 for wrong arguments.
    """
    from lgt.metrics.evaluation import Settings, run

    report = run(
        [parse_source(source) for source in sources or ()],
        Settings(
            photos=photos,
            styles=styles,
            train_styles=train_styles,
            out=out,
            only=_names(only),
            limit=limit,
            max_works=max_works,
            size=size,
            view=view,
            codec=codec,
            backbone=backbone,
            extra_metrics=_names(extra_metrics),
            bootstrap=bootstrap,
            cache=cache,
            seed=seed,
            device=device,
        ),
        log=lambda text: echo(text, err=True),
    )
    echo(report.tables())
    for note in report.windows.notes if report.windows is not None else ():
        echo(f"note: {note}", err=True)
    echo(f"{out / 'report.html'}: all numbers and pictures", err=True)
    if report.problems:
        echo(f"{len(report.problems)} image(s) could not be read:", err=True)
        for path, reason in report.problems:
            echo(f"  - {path}: {reason}", err=True)
        raise typer.Exit(1)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def parse_source(text: str) -> tuple[str, Path]:
    """Split NAME=PATH; without a name it is the path's own. `embedded` is the package's model."""
    from lgt.model.shipped import EMBEDDED, find_model

    name, equals, path = text.partition("=")
    if not Path(text).exists():
        if equals and name:
            return name, find_model(path) if path == EMBEDDED else Path(path)
        if text == EMBEDDED:
            return text, find_model(text)
    path_ = Path(text)
    return (path_.name if path_.is_dir() else f"{path_.resolve().parent.name}/{path_.stem}"), path_
