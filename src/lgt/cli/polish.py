"""`lgt polish`: a trained model learns what refining does to its pictures."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import DeviceOption
from lgt.cli.say import echo, is_first
from lgt.errors import InputError
from lgt.seeds import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lgt.paint.transfer import LGTInference
    from lgt.train.squares import PhotoSquares
    from lgt.train.teaching import Standing

SUFFIX, PREVIEW = ".pt", ".progress.jpg"
FEW_PHOTOS = 20
"""Photos below which to warn."""
PAIRS, BLOCKS = 30, 8
"""Of a new corrector: squares a style that are refined first, and its size."""
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
    steps: Annotated[int, typer.Option(min=1, help="Steps of learning.")] = 400,
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
    pairs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="For a model without corrector: squares a style that are refined first, ten "
            "seconds each on a core; it learns from them in twice as many quick steps. "
            "[default: 30]",
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            min=1, max=16, help="For a model without corrector: size of the new one. [default: 8]"
        ),
    ] = None,
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
    from lgt.energy.processes import num_processes
    from lgt.files import refuse_same, refuse_unwritable
    from lgt.model.checkpoint import Checkpoint, refuse_outdated
    from lgt.model.shipped import find_model
    from lgt.paint.transfer import LGTInference
    from lgt.processor import keep_freed_memory
    from lgt.train.copying import Begun, find_pairs, forget_pairs
    from lgt.train.corrector import CorrectorTeacher, correct, factors_of, give_corrector, styles_of
    from lgt.train.last_energies import Demands
    from lgt.train.polish import DECAY, WARMUP, PolishedPictures
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
    refuse_same(find_model(model), output)
    files = _photos(photos)
    checkpoint = Checkpoint.load(find_model(model))
    refuse_outdated(model, checkpoint.outdated)
    lgt = LGTInference(model, make_accelerator("no", str(resolve_device(device))).device)
    _refuse_others(lgt, str(model), calm)
    if lgt.network.corrector is not None and (pairs, blocks) != (None, None):
        raise InputError(f"{model}: has a corrector; --pairs and --blocks begin a new one")
    pairs, blocks = (PAIRS if pairs is None else pairs), blocks or BLOCKS
    first = 2 * steps if pairs and lgt.network.corrector is None else 0
    lessons = Lessons(
        out=output,
        steps=first + steps,
        first=first,
        rate=learning_rate,
        warmup=WARMUP,
        decay=DECAY,
        settings={
            "MODEL": lgt.fingerprint,
            "--photos": _digest(files),
            "--steps": str(steps),
            "--batch": str(batch),
            "--styles": str(styles),
            "--content": str(content),
            "--content_by_style": str(content_by_style),
            "--calm": str(calm),
            "--pairs": str(pairs),
            "--blocks": str(blocks),
            "--learning_rate": str(learning_rate),
            "--seed": str(seed),
        },
    )
    names = styles_of(styles, lgt)
    by_style = factors_of(content_by_style or "", lgt, "--content_by_style")
    squares = PhotoSquares(files, lgt.trained_side * DECODED_SCALE, _say)
    picture = output.with_name(output.stem + PREVIEW)
    show = _preview(lgt, squares, names, picture)
    give_corrector(lgt, blocks)
    polished = PolishedPictures(lgt, squares, names, Demands.of(content, calm, by_style), seed)
    teacher: CorrectorTeacher = polished
    kept = output.with_suffix(".pairs")
    if first:
        origin = f"{lgt.fingerprint}, {_digest(files)}, seed {seed}"
        found = find_pairs(kept, polished, names, pairs, origin, _count_pairs())
        teacher = Begun(polished, found, first * batch * num_processes())
    with _bar(lessons.steps) as report:
        is_done = correct(
            # What a training goes on with is of the network without corrector.
            replace(checkpoint, config=lgt.config, optimizer=None, critic=None, collection=None),
            teacher,
            lessons,
            batch,
            report=report,
            say=_say,
            saved=show,
        )
    if not is_done:
        _say("stopped; the same command goes on")
        raise typer.Exit(130)
    if is_first():
        if first:
            forget_pairs(kept, pairs * len(names))
        echo(f"{output}: polished in {steps} steps; {picture.name} shows what changed")


def _say(line: str) -> None:
    if is_first():
        echo(line, err=True)


def _count_pairs() -> Callable[[int, int], None]:
    """Return what tells how many squares of how many are refined."""
    began = time.monotonic()

    def tell(done: int, total: int) -> None:
        if not total or (done != total and done % 5):
            return
        each = (time.monotonic() - began) / max(done, 1)
        left = round(each * (total - done))
        rate = f"  {each:.1f} s each  left {left // 60}:{left % 60:02}" if done else ""
        _say(f"refining squares to begin with: {done}/{total}{rate}")

    return tell


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


def _digest(files: Sequence[Path]) -> str:
    """Return what tells a folder of photos from another one."""
    found = hashlib.sha256()
    for file in files:
        size = file.stat().st_size if file.exists() else 0  # A link may lead nowhere.
        found.update(f"{file.name} {size}\n".encode())
    return f"{len(files)} files, {found.hexdigest()[:16]}"


def _refuse_others(lgt: LGTInference, name: str, calm: float) -> None:
    """Refuse models that can not be polished.

    Raises:
        InputError: Says why.
    """
    from lgt.build import DECODED_SCALE

    if lgt.works is None or lgt.config.loss.perceptual_network == "none":
        raise InputError(
            f"{name}: has not kept how the works of its styles look, which is what pictures are "
            "compared with; models trained with loss.collection_gain above 0 and image networks "
            "(`lgt config init --preset large`) have"
        )
    if lgt.sampler.begins != "source":
        raise InputError(
            f"{name}: starts at {lgt.sampler.begins} (training.start); only paths from the photo "
            "itself can be polished"
        )
    if lgt.codec_spec is not None and lgt.codec_spec.downscale != DECODED_SCALE:
        raise InputError(
            f"{name}: was trained with a codec that makes pictures {lgt.codec_spec.downscale} "
            f"times smaller; only those of {DECODED_SCALE} times can be looked at"
        )
    has_clutter = lgt.config.loss.perceptual_network == "decoded" and lgt.config.loss.clutter_gain
    if calm != 1 and not has_clutter:
        raise InputError(
            f"--calm: the energy of {name} does not ask for plain places (loss.clutter_gain, with "
            "loss.perceptual_network=decoded); leave it out"
        )


def _preview(
    lgt: LGTInference, squares: PhotoSquares, names: Sequence[str], path: Path
) -> Callable[[], None]:
    """Return what writes a picture of some styles, as they were at its first call and as they are.

    Args:
        lgt: The model.
        squares: Of photos; one of them is painted.
        names: Of the styles.
        path: Of the picture.
    """
    from PIL import Image

    from lgt.image import contact_sheet, limit_side, save_image

    if not is_first():
        return lambda: None
    shown, before = names[:PREVIEW_STYLES], list[Image.Image]()
    photo, codec = limit_side(squares.square(0)[0], PREVIEW_SIDE), lgt.load_codec()

    def show() -> None:
        painted = [lgt.stylize(photo, name, codec=codec, seed=0) for name in shown]
        if not before:
            before.extend(painted)
            return
        rows = [[photo, *before], [photo, *painted]]
        save_image(contact_sheet(rows, ["before", "now"], ["photo", *shown]), path)

    return show


@contextmanager
def _bar(steps: int) -> Iterator[Callable[[Standing], None]]:
    """Show steps, what is learned from, the rate and the time left; in a file, as lines."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from lgt.train.teaching import SAVE_EVERY

    console = Console(stderr=True)
    is_watched = console.is_terminal and is_first()
    told = TextColumn("{task.fields[told]}")
    columns = (TextColumn("polishing"), BarColumn(), MofNCompleteColumn(), told)
    with Progress(*columns, console=console, disable=not is_watched) as progress:
        task = progress.add_task("polish", total=steps, told="")

        def report(standing: Standing) -> None:
            left = round(standing.seconds * (steps - standing.step))
            rate = f"{standing.seconds:.2f} s/step  left {left // 60}:{left % 60:02}"
            progress.update(task, completed=standing.step, told=f"{standing.told}  {rate}")
            if not is_watched and standing.step % SAVE_EVERY == 0:
                _say(f"step {standing.step}/{steps}: {standing.told}  {rate}")

        yield report
