"""`lgt transfer` of many files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lgt.cli.transfer_job import (
    Job,
    check_folder,
    line_of,
    load_painter,
    plan_pictures,
    read_masks,
    report,
)
from lgt.errors import InputError

if TYPE_CHECKING:
    from lgt.batch import Result


@dataclass
class Counts:
    """How far a run is."""

    total: int
    done: int = 0
    skipped: int = 0
    failed: int = 0


def is_many(inputs: Sequence[Path]) -> bool:
    """Tell several files, a folder or a pattern from a single file."""
    from lgt.batch import is_pattern

    return len(inputs) > 1 or inputs[0].is_dir() or is_pattern(inputs[0])


def run_many(job: Job) -> None:
    """Paint all files; print a line for each picture, and at the end what failed.

    Raises:
        typer.Exit: With code 1, where some pictures could not be made.
    """
    from lgt.batch import find_photos, plan_works, stylize_files
    from lgt.batch.sources import check_folders
    from lgt.cli.progress import count_bar, print_failures
    from lgt.files import remove_stale_temporaries
    from lgt.image import IMAGE_SUFFIXES
    from lgt.video import VIDEO_SUFFIXES

    if job.interpolate:
        raise InputError("--interpolate takes one photo (a single file as IN)")
    for given in job.inputs:
        if given.suffix.lower() in VIDEO_SUFFIXES - IMAGE_SUFFIXES and not given.is_dir():
            raise InputError(f"{given}: videos are painted one at a time (IN.mp4 OUT.mp4)")
    first = job.inputs[0]
    check_folder(
        job.output_path,
        f"{first}: is a folder; several photos" if first.is_dir() else "several photos",
    )
    check_folders(job.inputs, job.output_path)
    photos = find_photos(job.inputs, recursive=job.recursive, without=job.output_path)
    masks = read_masks(job)
    painter = load_painter(job.model, job.codec, job.set_, job.sampler)
    plans = plan_pictures(job, painter, masks)
    works = plan_works(photos, {plan.label: plan.slug for plan in plans}, job.output_path)
    if job.output_path.is_dir():
        remove_stale_temporaries(job.output_path)
    counts = Counts(len(works) * len(plans))
    failed: dict[tuple[str, str], list[str]] = {}
    results = stylize_files(
        painter,
        works,
        {plan.label: plan.recipe for plan in plans},
        overwrite=job.overwrite,
        has_metadata=job.has_metadata,
    )
    try:
        with closing(results), count_bar("painting", "pictures") as show:
            show(counts)
            for result in results:
                counts.done += 1
                counts.skipped += result.is_skipped
                counts.failed += result.problem is not None
                if result.problem is not None:
                    failed.setdefault((str(result.photo.path), result.problem), []).append(
                        result.label
                    )
                _print(job, result)
                show(counts)
    except KeyboardInterrupt:
        typer.echo("stopped; run the same command again to go on", err=True)
        raise
    written = counts.done - counts.skipped - counts.failed
    typer.echo(
        f"{job.output_path}: {written} written, {counts.skipped} already there", err=job.as_json
    )
    if failed:
        lines = [(path, f"{why} ({', '.join(which)})") for (path, why), which in failed.items()]
        print_failures(lines, "photo(s) could not be painted")
        raise typer.Exit(1)


def _print(job: Job, result: Result) -> None:
    values: dict[str, object]
    if result.problem is not None:
        if job.as_json:
            names = {"input": result.photo.path, "output": result.output, "style": result.label}
            values = {name: str(value) for name, value in names.items()}
            report(job, values | {"error": result.problem}, "")
        return
    width, height = result.size or (0, 0)
    values = line_of(
        result.photo.path, result.output, result.label, (width, height), result.seconds
    )
    if result.is_skipped:
        if job.as_json:
            report(job, {**values, "size": None, "skipped": True}, "")
        return
    text = f"{width} x {height}, style {result.label}, {result.seconds:.2f} s"
    report(job, values, f"{result.output}: {text}")
