"""What `lgt transfer` does before its work: folders are made, and pipes are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from lgt.cli.pipes import kept_pipes, made_folder
from lgt.cli.say import echo
from lgt.cli.transfer_job import Job, is_moving
from lgt.errors import InputError
from lgt.stores import address_of


@contextmanager
def ready(job: Job) -> Iterator[Job]:
    """Make the folder of results that is asked for, and read pipes; yield the job to do.

    Raises:
        InputError: One or the other can not be done.
    """
    with ExitStack() as stack:
        if job.makes_folder and address_of(job.output_path) is None:
            stack.enter_context(made_folder(job.output_path))
        elif job.format is not None and not job.output_path.is_dir() and not is_several(job):
            raise InputError(
                f"--format {job.format}: {job.output_path} is not a folder; its own suffix gives "
                f"the format (a new folder is named with a slash: {job.output_path}/)"
            )
        masks = [path for path, _ in job.regions]
        named = [*job.inputs, job.mask, job.detail_mask, *masks]
        kept = stack.enter_context(kept_pipes(named))
        if not kept:
            _say_what_is_left_out(job)
            yield job
            return
        copied = replace(
            job,
            inputs=tuple(kept.get(path, path) for path in job.inputs),
            mask=job.mask and kept.get(job.mask, job.mask),
            detail_mask=job.detail_mask and kept.get(job.detail_mask, job.detail_mask),
            regions=tuple((kept.get(path, path), style) for path, style in job.regions),
            pipes={str(file): str(pipe) for pipe, file in kept.items()},
        )
        _say_what_is_left_out(copied)
        yield copied


def _say_what_is_left_out(job: Job) -> None:
    from lgt.image.moving import FORMATS, format_of, left_out

    if job.is_many or is_moving(job):
        return
    if note := left_out(job.inputs[0], job.output_path):
        if job.output_path.suffix.lower() in FORMATS.keys() - {".gif"}:
            format_of(job.output_path, job.inputs[0])  # Says what can be written.
        echo(note.replace(str(job.inputs[0]), job.shown(job.inputs[0]), 1), err=True)


def is_several(job: Job) -> bool:
    """Tell whether a job gives several pictures, which go to a folder."""
    return job.is_list or job.variants > 1 or job.is_many
