"""`lgt transfer` of a video or GIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lgt.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from lgt.cli.transfer_job import Job
    from lgt.inference import LGTInference
    from lgt.styles import Style
    from lgt.video import VideoProgress


def run_video(job: Job, source: Path) -> None:
    """Paint a video, with a bar of its frames, and print a line for the file."""
    from lgt.cli.transfer_job import line_of, load_model, report
    from lgt.image import open_image, soft_mask
    from lgt.video.formats import format_of
    from lgt.video.read import open_clip
    from lgt.video.run import SMOOTH, transfer_video

    _check(job)
    if not job.output_path.is_dir():
        format_of(job.output_path)
    size = open_clip(source).size

    def read(path: Path, *, invert: bool = False) -> Image.Image:
        return soft_mask(open_image(path), size, invert=invert, feather=job.mask_feather)

    mask = None if job.mask is None else read(job.mask, invert=job.invert_mask)
    detail_mask = None if job.detail_mask is None else read(job.detail_mask)
    regions = [(read(path), style) for path, style in job.regions]
    lgt = load_model(job.model, job.set_, job.sampler)
    style, label = _style(job, lgt)
    output = job.output_path
    if output.is_dir():
        output = output / f"{source.stem}_{label.replace(' + ', '-').replace(' ', '')}.mp4"
    try:
        with _bar() as show:
            result = transfer_video(
                source,
                output,
                style,
                lgt=lgt,
                codec=lgt.load_codec(job.codec),
                source_style=job.source_style,
                seed=job.seed,
                smooth=SMOOTH if job.smooth is None else job.smooth,
                crf=job.crf,
                mask=mask,
                detail_mask=detail_mask,
                regions=regions,
                progress=show,
                **job.controls,
            )
    except KeyboardInterrupt:
        typer.echo("stopped; run the same command again to go on", err=True)
        raise
    for note in result.notes:
        typer.echo(note, err=True)
    again = f", {result.skipped} of them by an earlier run" if result.skipped else ""
    values = line_of(source, output, label, result.size, result.took)
    report(
        job,
        {**values, "frames": result.num_frames, "skipped_frames": result.skipped},
        f"{output}: {result.size[0]} x {result.size[1]}, {result.num_frames} frames{again}, "
        f"{result.seconds:.2f} s long, style {label}, {result.took:.2f} s",
    )


def _check(job: Job) -> None:
    """Refuse what gives several pictures."""
    if job.is_list or job.variants > 1 or job.interpolate:
        raise InputError(
            "a video takes one style or blend; --interpolate, --variants and lists of styles are "
            "for pictures"
        )


def _style(job: Job, lgt: LGTInference) -> tuple[Style | None, str]:
    """Return the style to give, None for the source's own, and its label."""
    from lgt.styles import parse_blend

    if job.blend is not None:
        weights = lgt.style_weights(parse_blend(job.blend))
    elif job.style is not None:
        weights = lgt.style_weights(job.style)
    else:
        return None, "regions"
    if len(weights) == 1:
        return weights, lgt.style_names[next(iter(weights))]
    return weights, " + ".join(f"{lgt.style_names[i]} {w:.2g}" for i, w in weights.items())


@contextmanager
def _bar() -> Iterator[Callable[[VideoProgress], None]]:
    """Show frames done, the rate (of those that took work) and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("painting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), speed_estimate_period=120)
    task = bar.add_task("painting", total=None, start=False, speed="")

    def show(state: VideoProgress) -> None:
        if not bar.tasks[0].started:  # The time to load the model does not count.
            bar.start()
            bar.start_task(task)
        elapsed = bar.tasks[0].elapsed or 0.0
        worked = state.done - state.skipped
        speed = f"{worked / elapsed:.1f} frames/s" if elapsed > 0 and worked else ""
        bar.update(task, completed=state.done, total=state.total, speed=speed)

    try:
        yield show
    finally:
        if bar.tasks[0].started:
            bar.stop()
