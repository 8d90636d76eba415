"""`lgt polish`: a trained model learns what refining does to its pictures."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import DeviceOption
from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.seeds import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL import Image

    from lgt.paint.transfer import LGTInference
    from lgt.train.squares import PhotoSquares
    from lgt.train.teaching import Standing

SUFFIX, PREVIEW = ".pt", ".progress.jpg"
FEW_PHOTOS = 20
"""Photos below which to warn."""
PREVIEW_SIDE, PREVIEW_STYLES = 512, 6
"""Long side in pixels, and most styles, of the pictures that show how far it is."""


def polish(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Checkpoint of `lgt train`, a packed model, or `embedded`."
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Checkpoint to write; ends in .pt.")
    ],
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Photographs that it learns from: those of the training, or what you want to "
            "paint; 50 or more.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of learning.")] = 800,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step and process.")] = 4,
    styles: Annotated[
        str | None,
        typer.Option(help="Styles to polish, by commas; they take turns. [default: all]"),
    ] = None,
    content: Annotated[
        float, typer.Option(min=0.0, help="How much of the photos is to stay.")
    ] = 1.0,
    content_by_style: Annotated[
        str | None,
        typer.Option(
            "--content_by_style",
            "--content-by-style",
            metavar="STYLE=FACTOR,...",
            help="The same for some styles. [default: the model's loss.content_by_style]",
        ),
    ] = None,
    calm: Annotated[
        float, typer.Option(min=0.0, help="How plain skies and other plain places are to stay.")
    ] = 1.0,
    blocks: Annotated[
        int, typer.Option(min=1, max=16, help="Size of the corrector of a model that has none.")
    ] = 8,
    learning_rate: Annotated[
        float,
        typer.Option(
            "--learning_rate", "--learning-rate", min=1e-8, max=1.0, help="Peak learning rate."
        ),
    ] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Same seed, same result.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it exists.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Let a trained model do at once what `lgt transfer --refine` needs its steps for.

    MODEL gets a corrector, if it has none, that learns from the energy which refining walks down,
    on squares of photographs; all its other weights stay as they are. Ctrl-C saves, and the same
    command goes on. Every 50 steps OUT can be used, and beside it a picture shows a photo in the
    styles before and now. Several processes: `torchrun --nproc_per_node 2 -m lgt polish ...`.
    """
    from lgt.build import DECODED_SCALE
    from lgt.device import resolve_device
    from lgt.files import refuse_unwritable
    from lgt.model.checkpoint import Checkpoint, refuse_outdated
    from lgt.model.shipped import find_model
    from lgt.paint.transfer import LGTInference
    from lgt.processor import keep_freed_memory
    from lgt.train.corrector import correct, give_corrector, styles_of
    from lgt.train.polish import DECAY, WARMUP, Demands, PolishedPictures
    from lgt.train.process import make_accelerator
    from lgt.train.squares import PhotoSquares
    from lgt.train.teaching import Lessons, state_of

    keep_freed_memory()
    if photos is None:
        raise InputError(
            "--photos is needed: polishing paints photographs. Name a folder of 50 or more, such "
            "as that of the training, for example --photos images/photo"
        )
    if output.suffix != SUFFIX:
        raise InputError(f"{output}: OUT must end in {SUFFIX} (got '{output.suffix}')")
    if output.exists() and not overwrite and not state_of(output).exists():
        raise InputError(f"{output} exists; replace it with --overwrite, or choose another name")
    refuse_unwritable(output.parent)
    files = _photos(photos)
    checkpoint = Checkpoint.load(find_model(model))
    refuse_outdated(model, checkpoint.outdated)
    lgt = LGTInference(model, make_accelerator("no", str(resolve_device(device))).device)
    if lgt.works is None:
        raise InputError(
            f"{model}: has not kept how the works of its styles look, which is what pictures are "
            "compared with; models trained with loss.collection_gain above 0 (`lgt config init "
            "--preset large`) have"
        )
    lessons = Lessons(
        out=output,
        steps=steps,
        rate=learning_rate,
        warmup=WARMUP,
        decay=DECAY,
        settings={
            "MODEL": lgt.fingerprint,
            "--photos": f"{len(files)} files of {sum(file.stat().st_size for file in files)} bytes",
            "--steps": str(steps),
            "--batch": str(batch),
            "--styles": str(styles),
            "--content": str(content),
            "--content_by_style": str(content_by_style),
            "--calm": str(calm),
            "--blocks": str(blocks),
            "--learning_rate": str(learning_rate),
            "--seed": str(seed),
        },
    )
    names = styles_of(styles, lgt)
    by_style = _factors(content_by_style or "", lgt)
    squares = PhotoSquares(files, lgt.trained_side * DECODED_SCALE, _say)
    show = _preview(lgt, squares, names, output.with_name(output.stem + PREVIEW))
    give_corrector(lgt, blocks, seed)
    pictures = PolishedPictures(lgt, squares, names, Demands.of(content, calm, by_style), seed)
    with _bar(steps) as report:
        is_done = correct(
            replace(checkpoint, config=lgt.config),
            pictures,
            lessons,
            batch,
            report=report,
            saved=show,
        )
    if not is_done:
        _say("stopped; the same command goes on")
        raise typer.Exit(130)
    if _is_first():
        echo(f"{output}: polished in {steps} steps; `lgt pack` makes a small file of it")


def _is_first() -> bool:
    """Tell whether this is the first process of several, which speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _say(line: str) -> None:
    if _is_first():
        echo(line, err=True)


def _photos(folder: Path) -> list[Path]:
    """Return the photos of a folder; say what is left out, and whether they are few."""
    from lgt.image import left_out
    from lgt.train.views import picture_files

    files = picture_files(folder, "--photos")
    for path, reason in left_out(folder) if folder.is_dir() else ():
        _say(f"left out: {path}: {reason}")
    if len(files) < FEW_PHOTOS:
        _say(
            f"WARNING: {len(files)} photo(s) only; what is learned may not hold for others. 50 or "
            "more are better."
        )
    return files


def _factors(said: str, lgt: LGTInference) -> dict[str, float]:
    """Read `style=factor,...`.

    Raises:
        InputError: It is not of that form, or there is no such style.
    """
    found = {}
    for part in filter(None, said.split(",")):
        name, _, factor = part.partition("=")
        try:
            value = float(factor)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise InputError(
                f"--content_by_style: '{part}' is not STYLE=FACTOR with a factor of at least 0, "
                "such as monet=0.5"
            )
        found[lgt.style_names[lgt.style_id(name.strip())]] = value
    return found


def _preview(
    lgt: LGTInference, squares: PhotoSquares, names: Sequence[str], path: Path
) -> Callable[[], None]:
    """Return what writes a picture of some styles, as they were and as they are when it is called.

    Args:
        lgt: The model as it was.
        squares: Of photos; one of them is painted.
        names: Of the styles.
        path: Of the picture.
    """
    from lgt.image import contact_sheet, save_image

    shown = names[:PREVIEW_STYLES]
    if not _is_first():
        return lambda: None
    photo, codec = squares.square(0)[0], lgt.load_codec()

    def painted() -> list[Image.Image]:
        return [lgt.stylize(photo, name, codec=codec, seed=0) for name in shown]

    before = painted()

    def show() -> None:
        rows = [[photo, *before], [photo, *painted()]]
        save_image(contact_sheet(rows, ["before", "now"], ["photo", *shown]), path)

    return show


@contextmanager
def _bar(steps: int) -> Iterator[Callable[[Standing], None]]:
    """Show steps, what is learned from, the rate and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    if not _is_first():
        yield lambda _: None
        return
    with Progress(
        TextColumn("polishing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}  {task.fields[rate]:.2f} s/step"),
        TextColumn("left {task.fields[left]}"),
        console=Console(stderr=True),
        refresh_per_second=2,
    ) as progress:
        task = progress.add_task("polish", total=steps, told="", rate=0.0, left="-:--")

        def report(standing: Standing) -> None:
            left = round(standing.seconds * (steps - standing.step))
            progress.update(
                task,
                completed=standing.step,
                told=standing.told,
                rate=standing.seconds,
                left=f"{left // 60}:{left % 60:02}",
            )

        yield report
