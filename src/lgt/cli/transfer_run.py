"""`lgt transfer`, once it is known what was asked for: one picture, many, or a video."""

from __future__ import annotations

import time

from lgt.cli.transfer_job import (
    VIDEO_OPTIONS,
    Job,
    check_folder,
    is_moving,
    line_of,
    read_masks,
    report,
    write,
)
from lgt.cli.transfer_plan import load_painter, plan_pictures
from lgt.cli.transfer_ready import ready
from lgt.errors import InputError, LGTError
from lgt.files import refuse_same, remove_stale_temporaries
from lgt.processor import return_freed_memory

LARGE = 2**22
"""Pixels of a photo for which memory is worth a little time."""


def run(job: Job) -> None:
    """Paint what was asked for, write it and print a line for each file."""
    try:
        with ready(job) as prepared:
            _run(prepared)
    except LGTError as error:
        if job.as_json:
            named = ", ".join(str(path) for path in job.inputs)
            report(job, {"input": named, "error": str(error)}, "")
        raise


def _run(job: Job) -> None:
    from lgt.cli.transfer_many import run_many
    from lgt.paint.picture import STREAM

    remove_stale_temporaries(
        job.output_path if job.is_in_folder else job.output_path.parent, is_deep=False
    )
    is_several = job.is_many
    is_video = not is_several and is_moving(job)
    if not is_several and not is_video and (job.smooth is not None or job.crf is not None):
        raise InputError(f"{VIDEO_OPTIONS} (such as IN.mp4 OUT.mp4)")
    if job.spread is not None and not is_several:
        raise InputError(
            f"--engine ray is for many files; {job.inputs[0]} is one: name a folder or a pattern, "
            "or leave --engine out"
        )
    if not (is_several or job.is_in_folder or job.output_path == STREAM):
        for read in (job.inputs[0], *job.masks):
            refuse_same(read, job.output_path)
    if is_several or (is_video and (job.is_list or job.variants > 1)):
        run_many(job)
    elif is_video:
        from lgt.cli.transfer_video import run_video

        run_video(job, job.inputs[0])
    else:
        _run_one(job)


def _run_one(job: Job) -> None:
    from lgt.image import (
        check_file,
        check_size,
        image_format,
        limit_side,
        limited_size,
        picture_sheet,
    )
    from lgt.paint.picture import STREAM, read_picture

    (input_path,), out = job.inputs, job.output_path
    is_many = job.is_list or job.variants > 1
    if is_many:
        check_folder(out, "several styles" if job.is_list else "several variants")
    elif not job.is_in_folder and out != STREAM:
        if input_path != STREAM:
            check_file(input_path)  # Where this is missing, OUT may be meant as a folder.
        image_format(out)
    max_side = job.controls.get("max_side")
    photo = read_picture(input_path, max_side=max_side)
    if photo.image.width * photo.image.height >= LARGE:
        return_freed_memory()
    if out != STREAM and not job.interpolate:
        path = job.result_path(input_path.stem, "")
        check_size(image_format(path), limited_size(photo.image.size, max_side), path)
    stem = "stdin" if input_path == STREAM else input_path.stem
    masks = read_masks(job)
    painter = load_painter(job)
    plans = plan_pictures(job, painter, masks)
    writes_each = job.is_in_folder or not job.interpolate
    backend, precision = painter.engine.facts.device, painter.engine.facts.precision
    results = []
    for plan in plans:
        path = job.result_path(stem, plan.slug)
        began = time.perf_counter()
        # A large photo is most of the memory that its painting takes.
        is_last = not (is_many or job.interpolate)
        result = painter.paint(photo.image, plan.recipe, overwrite=is_last)
        results.append(result)
        if writes_each:
            made = painter.provenance(plan.recipe, photo.record)
            write(job, result, path, made.to_json(), photo.exif)
            seconds = time.perf_counter() - began
            report(
                job,
                line_of(input_path, path, plan.label, result.size, seconds, backend),
                f"{path}: {result.width} x {result.height}, style {plan.label}, {seconds:.2f} s, "
                f"{backend} {precision}",
            )
    if is_many or job.interpolate:
        sheet = job.result_path(stem, "sheet")
        small = limit_side(photo.image, max_side)
        labels = ["source", *(plan.label for plan in plans)]
        columns = min(len(labels), 8) if job.interpolate else 4
        made = painter.provenance(plans[0].recipe, photo.record, style=None, sheet=tuple(labels))
        picture = picture_sheet([small, *results], labels, columns=columns)
        write(job, picture, sheet, made.to_json(), photo.exif)
        what = "styles" if job.variants == 1 else "pictures"
        values = {"input": str(input_path), "output": str(sheet), "sheet": labels}
        report(job, values, f"{sheet}: the source and {len(plans)} {what}")
