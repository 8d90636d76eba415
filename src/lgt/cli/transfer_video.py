"""`lgt transfer` of a video or GIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.files import fitted_name

if TYPE_CHECKING:
    from lgt.cli.transfer_job import Job
    from lgt.video import VideoProgress, VideoResult
    from lgt.video.recipe import VideoOptions


def run_video(job: Job, source: Path) -> None:
    """Paint a video, with a bar of its frames, and print a line for the file."""
    from lgt.cli.transfer_job import read_masks
    from lgt.cli.transfer_plan import load_painter, plan_pictures
    from lgt.image.moving import format_of, result_suffix
    from lgt.video.read import open_clip
    from lgt.video.recipe import paint_video

    if job.interpolate:
        raise InputError("--interpolate is for pictures; a video takes a style or a blend")
    if not job.output_path.is_dir():
        format_of(job.output_path, source)
    open_clip(source)
    masks = read_masks(job)
    painter = load_painter(job)
    (plan,) = plan_pictures(job, painter, masks)
    output = job.output_path
    if output.is_dir():
        output = output / fitted_name(source.stem, f"_{plan.slug}{result_suffix(source)}")
    try:
        with frame_bar("painting") as show:
            result = paint_video(
                painter,
                plan.recipe,
                source,
                output,
                options=video_options(job),
                has_metadata=job.has_metadata,
                progress=show,
            )
    except KeyboardInterrupt:
        echo("stopped; run the same command again to go on", err=True)
        raise
    report_video(job, source, plan.label, result, painter.engine.facts.device)


def video_options(job: Job) -> VideoOptions:
    """Return the options that videos have and pictures have not."""
    from lgt.video.painting import SMOOTH
    from lgt.video.recipe import VideoOptions

    return VideoOptions(SMOOTH if job.smooth is None else job.smooth, job.crf)


def report_video(job: Job, source: Path, label: str, result: VideoResult, backend: str) -> None:
    """Print the line of a video, and on standard error what a user should know of it."""
    from lgt.cli.transfer_job import line_of, report

    for note in result.notes:
        echo(note, err=True)
    again = f", {result.skipped} of them by an earlier run" if result.skipped else ""
    length = f"frames{again}, {result.seconds:.2f} s long" if result.seconds else f"pages{again}"
    values = line_of(source, result.path, label, result.size, result.took, backend)
    report(
        job,
        {**values, "frames": result.num_frames, "skipped_frames": result.skipped},
        f"{result.path}: {result.size[0]} x {result.size[1]}, {result.num_frames} "
        f"{length}, style {label}, {result.took:.2f} s",
    )


@contextmanager
def frame_bar(title: str) -> Iterator[Callable[[VideoProgress], None]]:
    """Show frames done, the rate (of those that took work) and the time left.

    Args:
        title: Left of the bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), speed_estimate_period=120)
    task = bar.add_task(title, total=None, start=False, speed="")

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
