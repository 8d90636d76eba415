"""`lgt transfer` of many files."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import typer

from lgt.cli.say import echo
from lgt.cli.transfer_job import (
    VIDEO_OPTIONS,
    Job,
    check_folder,
    line_of,
    read_masks,
    report,
)
from lgt.cli.transfer_plan import load_painter, plan_pictures, wish_of
from lgt.cli.transfer_video import frame_bar, report_video, video_options
from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.image.moving import import_av, is_framed
from lgt.names import visible
from lgt.stores import shown

if TYPE_CHECKING:
    from lgt.batch import PhotoFile, Result, Work
    from lgt.paint.painter import Painter
    from lgt.paint.recipe import Recipe


@dataclass
class Counts:
    """How far a run is."""

    total: int
    done: int = 0
    skipped: int = 0
    failed: int = 0


def run_many(job: Job) -> None:
    """Paint all files, videos last; print a line for each result, and at the end what failed.

    Raises:
        typer.Exit: With code 1, where some files could not be painted.
    """
    from lgt.batch import find_left_out, plan_works
    from lgt.cli.progress import print_failures
    from lgt.files import remove_stale_temporaries
    from lgt.stores import address_of, remove_stale_stored

    if job.interpolate:
        raise InputError("--interpolate takes one photo (a single file as IN)")
    photos = _find(job)
    masks = read_masks(job)
    painter = load_painter(job)
    plans = plan_pictures(job, painter, masks)
    works = plan_works(
        photos, {plan.label: plan.slug for plan in plans}, job.output_path, job.suffix
    )
    if (address := address_of(job.output_path)) is not None:
        remove_stale_stored(address)
    elif job.output_path.is_dir():
        remove_stale_temporaries(job.output_path)
    recipes = {plan.label: plan.recipe for plan in plans}
    pictures = [work for work in works if not work.photo.is_video]
    videos = [work for work in works if work.photo.is_video]
    written = skipped = 0
    failed: dict[tuple[str, str], list[str]] = {}
    try:
        with (
            closing(_paint_pictures(job, painter, pictures, recipes)) as first,
            closing(_paint_videos(job, painter, videos, recipes)) as then,
        ):
            for result in chain(first, then):
                skipped += result.is_skipped
                written += not result.is_skipped and result.problem is None
                if result.problem is not None:
                    key = (job.shown(result.photo.path), result.problem)
                    failed.setdefault(key, []).append(result.label)
                _print(job, painter.engine.facts.device, result)
    except KeyboardInterrupt:
        echo("stopped; run the same command again to go on", err=True)
        raise
    echo(f"{shown(job.output_path)}: {written} written, {skipped} already there", err=job.as_json)
    strays = find_left_out(job.inputs, recursive=job.recursive, without=job.output_path)
    if strays:
        print_failures(strays, "picture(s) or link(s) left out")
    if failed:
        lines = [(path, f"{why} ({', '.join(which)})") for (path, why), which in failed.items()]
        print_failures(lines, f"{'file' if videos else 'photo'}(s) could not be painted")
        raise typer.Exit(1)


def _find(job: Job) -> list[PhotoFile]:
    """Return the photos and videos to paint; without PyAV only videos asked for by name count."""
    from lgt.batch import find_photos
    from lgt.batch.sources import check_folders

    first = job.inputs[0]
    what = "several photos" if job.is_many else "several styles"
    check_folder(job.output_path, f"{first}: is a folder; {what}" if first.is_dir() else what)
    check_folders(job.inputs, job.output_path)
    photos = find_photos(
        job.inputs, recursive=job.recursive, without=job.output_path, with_videos=True
    )
    if (job.smooth is not None or job.crf is not None) and not any(p.is_video for p in photos):
        raise InputError(f"{VIDEO_OPTIONS}, and there is none among these files")
    if importlib.util.find_spec("av"):
        return photos
    videos = [p for p in photos if p.is_video and not is_framed(p.path)]
    for video in videos:
        if video.is_named or len(videos) == len(photos):
            import_av(video.path)
    if videos:
        echo(f"{len(videos)} video(s) left out; PyAV reads them: {pip_install('video')}", err=True)
    return [photo for photo in photos if photo not in videos]


def _paint_pictures(
    job: Job, painter: Painter, works: Sequence[Work], recipes: Mapping[str, Recipe]
) -> Generator[Result, None, None]:
    """Paint the pictures, with one bar for all."""
    from lgt.batch import stylize_files
    from lgt.cli.progress import count_bar

    counts = Counts(len(works) * len(recipes))
    how = {"overwrite": job.overwrite, "has_metadata": job.has_metadata}
    if job.spread is None:
        results = stylize_files(painter, works, recipes, **how)
    else:
        from lgt.batch.spread import stylize_on_ray

        results = stylize_on_ray(painter, wish_of(job), works, recipes, job.spread, **how)
    with closing(results), count_bar("painting", "pictures") as show:
        if works:
            show(counts)
        for result in results:
            counts.done += 1
            counts.skipped += result.is_skipped
            counts.failed += result.problem is not None
            yield result
            show(counts)


def _paint_videos(
    job: Job, painter: Painter, works: Sequence[Work], recipes: Mapping[str, Recipe]
) -> Generator[Result, None, None]:
    """Paint the videos one after the other, each with a bar of its frames."""
    if not works:
        return
    from lgt.batch import stylize_video

    tasks = [(w.photo, label, output) for w in works for label, output in w.outputs.items()]
    for number, (video, label, output) in enumerate(tasks, start=1):
        with frame_bar(f"{visible(output.name)} ({number} of {len(tasks)})") as show:
            result = stylize_video(
                painter,
                video,
                output,
                label,
                recipes[label],
                options=video_options(job),
                overwrite=job.overwrite,
                has_metadata=job.has_metadata,
                progress=show,
            )
        yield result


def _print(job: Job, backend: str, result: Result) -> None:
    values: dict[str, object]
    if result.video is not None:
        report_video(job, result.photo.path, result.label, result.video, backend)
        return
    if result.problem is not None:
        if job.as_json:
            names = {"input": shown(result.photo.path), "output": shown(result.output)}
            values = {**names, "style": result.label}
            report(job, values | {"error": result.problem}, "")
        return
    width, height = result.size or (0, 0)
    values = line_of(
        result.photo.path, result.output, result.label, (width, height), result.seconds, backend
    )
    if result.is_skipped:
        if job.as_json:
            report(job, {**values, "size": None, "skipped": True}, "")
        return
    text = f"{width} x {height}, style {result.label}, {result.seconds:.2f} s"
    report(job, values, f"{shown(result.output)}: {text}")
