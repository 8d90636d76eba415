"""`lgt add-style`: one more style for a trained model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lgt.cli.options import DeviceOption, ModelOption, choose_model
from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.files import fitted_name
from lgt.seeds import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from lgt.codec import LatentCodec
    from lgt.model.style_file import AddedStyle
    from lgt.paint.transfer import LGTInference
    from lgt.train.new_style import LearningPlan, StyleLearner

MAX_WORKS, MAX_PHOTOS, MIN_PHOTOS, FEW_WORKS = 300, 200, 8, 10
"""Most works and photos that are read, photos that are advised, works below which to warn."""
WINDOWS = 3
"""Least windows of a picture where one does not show most of it."""
PREVIEW_SECONDS = 60.0


def add_style(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new style.")],
    works: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Pictures in the style, 10 to 300; or one picture file."
        ),
    ],
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Photographs that learning paints: what you want to paint later, 20 or more.",
        ),
    ] = None,
    model: ModelOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Style file to write. [default: installed for this user]"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of learning, at most.")] = 600,
    minutes: Annotated[
        float, typer.Option(min=0.01, max=10, help="Time of learning, at most.")
    ] = 10.0,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE",
            help="Style of the model to start from. [default: the nearest to the pictures]",
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Image codec, as for transfer. [default: the model's]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Same seed, same style.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a style of this name.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start anew where an earlier run was interrupted.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="Number format of learning: fp32 or bf16.")
    ] = "fp32",
    device: DeviceOption = "auto",
) -> None:
    """Learn one more style for a trained model from a few pictures, in minutes.

    The model itself is not changed: its own styles stay as they are, to the bit. The style is one
    small file. Ctrl-C saves; the same command goes on. Every minute NAME.progress.jpg, beside the
    style file, shows a photo in the style as it is by then.
    """
    from lgt.files import refuse_unwritable
    from lgt.image import left_out
    from lgt.model.checkpoint import refuse_outdated
    from lgt.model.style_file import SUFFIX, check_name, installed_path
    from lgt.paint.transfer import LGTInference
    from lgt.processor import keep_freed_memory
    from lgt.train.new_style import LearningPlan, spread
    from lgt.train.views import picture_files

    keep_freed_memory()
    if photos is None:
        raise InputError(
            "--photos is needed: learning paints photographs and compares them with the works. "
            "Name a folder of 20 or more photographs like those that you want to paint (any do, "
            "such as those of a holiday), for example --photos ~/Pictures"
        )
    chosen = choose_model(model)
    lgt = LGTInference(chosen, device)
    refuse_outdated(chosen, lgt.outdated)
    check_name(name, lgt.style_names)
    target = installed_path(name, lgt.model_hash) if out is None else out
    if target.suffix != SUFFIX:
        raise InputError(f"--out: {target} must end in {SUFFIX}")
    if target.exists() and not overwrite:
        raise InputError(
            f"style '{name}' exists already ({target}); replace it with --overwrite, or choose "
            "another name"
        )
    refuse_unwritable(target.parent)
    if base is not None:
        lgt.style_id(base)
    work_files = spread(picture_files(works, "FOLDER"), MAX_WORKS)
    photo_files = spread(picture_files(photos, "--photos"), MAX_PHOTOS)
    plan = LearningPlan(
        steps=steps, seconds=60 * minutes, seed=seed, base=base, precision=precision
    )
    for folder in (works, photos):
        for path, reason in left_out(folder) if folder.is_dir() else ():
            echo(f"left out: {path}: {reason}", err=True)
    _warn(len(work_files), len(photo_files))
    loaded = lgt.load_codec(codec)
    learner, count = _prepare(lgt, loaded, work_files, photo_files, plan)
    partial = target.with_name(fitted_name(f".{target.name}", ".partial"))
    key = _key(lgt, name, work_files, photo_files, plan)
    if restart:
        partial.unlink(missing_ok=True)
    if partial.is_file():
        if not learner.load(partial, key):
            raise InputError(
                f"{partial}: an earlier run with other pictures or settings was interrupted; "
                "give the same again to go on, or --restart to forget it"
            )
        echo(f"going on from step {learner.step}", err=True)
    painter = _Painter(lgt, loaded, learner, name, count)
    preview = target.with_name(fitted_name(target.stem, ".progress.jpg"))
    _learn(learner, partial, key, lambda: painter.show(preview))
    _write(painter, target)
    partial.unlink(missing_ok=True)
    preview.unlink(missing_ok=True)


def _warn(num_works: int, num_photos: int) -> None:
    if num_works == 1:
        echo(
            "WARNING: one picture only. Expect a shade of the nearest style that the model has, "
            "with some of this picture's colours, not the painter's hand. 10 works are better.",
            err=True,
        )
    elif num_works < FEW_WORKS:
        echo(
            f"WARNING: {num_works} pictures only; colours will follow them closely. 10 or more "
            "are better.",
            err=True,
        )
    if num_photos < MIN_PHOTOS:
        echo(
            f"WARNING: {num_photos} photo(s) only; what is learned may not hold for others. 20 or "
            "more are better.",
            err=True,
        )


def _prepare(
    lgt: LGTInference, codec: LatentCodec, works: list[Path], photos: list[Path], plan: LearningPlan
) -> tuple[StyleLearner, int]:
    """Encode all pictures; return the learner and the number of works that could be read."""
    from lgt.train.new_style import WINDOW, Pictures, StyleLearner
    from lgt.train.views import encode_views, num_crops

    size = WINDOW * codec.spec.downscale
    scale = max(1.0, lgt.trained_side / WINDOW)
    least = 1 if scale == 1 else WINDOWS
    crops = max(least, num_crops(len(works)))
    echo(f"encoding {len(works)} works and {len(photos)} photos ...", err=True)
    of_works = encode_views(works, codec, size, crops=crops, mirrored=crops > least, scale=scale)
    of_photos = encode_views(
        photos,
        codec,
        size,
        crops=max(least, num_crops(len(photos), 32)),
        mirrored=len(photos) < 32,
        scale=scale,
    )
    for problem in (*of_works.problems, *of_photos.problems):
        echo(f"left out: {problem}", err=True)
    echo("measuring the style ...", err=True)
    pictures = Pictures(photos, works, of_photos.squares)
    learner = StyleLearner(lgt, of_photos.latents, of_works.latents, plan, pictures)
    echo(
        f"{len(of_works.latents)} windows of {of_works.num_pictures} works, starting from "
        f"'{learner.base}'",
        err=True,
    )
    return learner, of_works.num_pictures


def _key(
    lgt: LGTInference, name: str, works: list[Path], photos: list[Path], plan: LearningPlan
) -> dict[str, Any]:
    """Return what an interrupted run must have in common with the one that goes on."""
    digest = hashlib.sha256()
    for path in (*works, *photos):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    return {
        "name": name,
        "model": lgt.model_hash,
        "pictures": digest.hexdigest(),
        "steps": plan.steps,
        "seed": plan.seed,
        "base": plan.base,
        "precision": plan.precision,
    }


class _Painter:
    """Paints a photo that comes with the package in a style that is being learned."""

    def __init__(
        self, lgt: LGTInference, codec: LatentCodec, learner: StyleLearner, name: str, works: int
    ) -> None:
        self.lgt, self.codec, self.learner = lgt, codec, learner
        self.name, self.num_works = name, works
        self.style_id: int | None = None

    def style(self) -> AddedStyle:
        """Return the style as it is by now."""
        from lgt.model.style_file import AddedStyle

        return AddedStyle(
            name=self.name,
            code=self.learner.code().detach().cpu().float().numpy(),
            model=self.lgt.model_hash,
            num_works=self.num_works,
            base=self.learner.base,
            steps=self.learner.step,
            works=self.learner.works(),
        )

    def picture(self, style: AddedStyle) -> Image.Image:
        """Return the photo in a style."""
        from torch import from_numpy

        from lgt.image import open_image
        from lgt.model.shipped import MODEL_FOLDER, SOURCE_NAME

        if self.style_id is None:
            self.style_id = self.lgt.add_style(style)
        self.lgt.network.added_codes[-1] = from_numpy(style.code)
        source = open_image(MODEL_FOLDER / SOURCE_NAME)
        return self.lgt.stylize(source, self.style_id, codec=self.codec, seed=0)

    def show(self, path: Path) -> None:
        """Write the photo in the present style."""
        from lgt.image import save_image

        save_image(self.picture(self.style()), path)


def _learn(
    learner: StyleLearner, partial: Path, key: dict[str, Any], show: Callable[[], None]
) -> None:
    """Learn with a bar, and a picture every minute; leave the program where it is interrupted."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("learning"),
        BarColumn(),
        TextColumn("step {task.fields[step]}  E {task.fields[energy]:.3f}"),
        TextColumn("{task.fields[rate]:.2f} s/step"),
        TimeElapsedColumn(),
        TextColumn("left {task.fields[left]}"),
        console=Console(stderr=True),
        refresh_per_second=2,
    ) as progress:
        task = progress.add_task(
            "learn", total=1.0, step=learner.step, energy=0.0, rate=0.0, left="-:--"
        )
        mean: float | None = None
        shown = time.monotonic()

        def report(step: int, fraction: float, energy: float) -> None:
            nonlocal mean, shown
            mean = energy if mean is None else mean + 0.05 * (energy - mean)
            left = learner.elapsed * (1 - fraction) / max(fraction, 1e-6)
            progress.update(
                task,
                completed=fraction,
                step=step,
                energy=mean,
                rate=learner.elapsed / step,
                left=f"{int(left) // 60}:{int(left) % 60:02}",
            )
            if time.monotonic() - shown > PREVIEW_SECONDS:
                show()
                shown = time.monotonic()

        is_done = learner.run(partial, key, report)
    if not is_done:
        echo(f"stopped at step {learner.step}; the same command goes on", err=True)
        raise typer.Exit(130)


def _write(painter: _Painter, target: Path) -> None:
    """Write the style with a picture painted in it."""
    from dataclasses import replace

    from lgt.model.style_file import thumbnail_of

    style = painter.style()
    replace(style, thumbnail=thumbnail_of(painter.picture(style))).save(target)
    echo(
        f"{target}: style {style.name} of {style.num_works} work(s), {style.steps} steps in "
        f"{painter.learner.elapsed:.0f} s, {target.stat().st_size / 1000:.0f} kB"
    )
