"""Batches: several photos with the same settings, and their pictures as one file."""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from typing import IO, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from lgt.web.decoding import Decoders
from lgt.web.events import stream
from lgt.web.forms import (
    KEEPING,
    Problem,
    queue_form,
    refusing_pictures,
    refusing_when_full,
)
from lgt.web.jobs import DONE, FINISHED, RUNNING, Job, Jobs
from lgt.web.limits import Limits
from lgt.web.openapi import EVENTS, UPLOAD, BatchState, Kind, form_schema, gives, refusals
from lgt.web.shelf import Kept
from lgt.web.stylist import Stylist
from lgt.web.uploads import transcode

MAX_BATCHES = 1000
"""Batches that are remembered without one of their pictures, to say that those are gone."""
_BLOCK = 2**18
"""Bytes of a zip file that are sent at once."""


def add_batches(
    app: FastAPI, stylist: Stylist, jobs: Jobs, decoders: Decoders, limits: Limits
) -> None:
    """Add the calls under `/api/batch`."""
    batches: dict[str, list[Job]] = {}

    def find(batch_id: str) -> list[Job]:
        if batch_id not in batches:
            raise Problem(404, "no_batch", "no such batch")
        return batches[batch_id]

    def forgotten(job: Job) -> bool:
        return jobs.get(job.id) is None

    def describe(batch_id: str, members: list[Job]) -> dict[str, Any]:
        states = [jobs.describe(job) for job in members]
        is_over = all(state["state"] in FINISHED for state in states)
        return {"id": batch_id, "state": DONE if is_over else RUNNING, "jobs": states}

    @app.post(
        "/api/batch",
        status_code=202,
        response_model=BatchState,
        responses=refusals(*UPLOAD),
        openapi_extra=form_schema("images", has_mask=False),
    )
    async def create_batch(request: Request) -> dict[str, Any]:
        """Queue several photos with the same settings: all of them or none."""
        new = await queue_form(request, stylist, jobs, decoders, limits, file_field="images")
        batch_id = secrets.token_urlsafe(16)
        batches[batch_id] = new
        if len(batches) > MAX_BATCHES:
            gone = [name for name, members in batches.items() if all(map(forgotten, members))]
            for name in gone[: len(batches) - MAX_BATCHES]:
                del batches[name]
        return describe(batch_id, new)

    @app.get("/api/batch/{batch_id}", response_model=BatchState, responses=refusals(404, 422))
    async def read_batch(batch_id: str) -> dict[str, Any]:
        """Return the states of a batch's jobs; `state` is `done` when all are finished."""
        return describe(batch_id, find(batch_id))

    @app.delete("/api/batch/{batch_id}", response_model=BatchState, responses=refusals(404, 422))
    async def cancel_batch(batch_id: str) -> dict[str, Any]:
        """Cancel the jobs of a batch that are not finished."""
        members = find(batch_id)
        for job in reversed(members):
            jobs.cancel(job)
        return describe(batch_id, members)

    @app.get(
        "/api/batch/{batch_id}/events",
        response_class=Response,
        responses=refusals(404, 422) | EVENTS,
    )
    async def batch_events(batch_id: str) -> Response:
        """Stream the states of a batch's jobs as server-sent events, until all are finished."""
        members = find(batch_id)
        return stream(jobs, lambda: describe(batch_id, members))

    @app.get(
        "/api/batch/{batch_id}/result",
        response_class=Response,
        responses=refusals(404, 409, 410, 422, 503) | gives("application/zip"),
    )
    async def batch_result(batch_id: str, format: Kind = "png") -> Response:  # noqa: A002
        """Return the pictures of a finished batch as a zip file."""
        members = find(batch_id)
        if not all(job.is_finished for job in members):
            raise Problem(409, "not_done", "some jobs of the batch are not finished")
        gone = [job.label for job in members if job.is_gone]
        if gone:
            raise Problem(
                410,
                "gone",
                f"{len(gone)} of {len(members)} pictures of the batch are no longer kept "
                f"({_shortened(gone)}): {KEEPING}; those that are left are the results of their "
                "own jobs",
            )
        done = [(job.label, job.result) for job in members if job.result is not None]
        if not done:
            raise Problem(409, "no_result", "no job of the batch gave a picture")
        with refusing_when_full(jobs), refusing_pictures():  # Longer than JPEG takes.
            archive = await decoders.run(lambda: _zip(done, format))
        headers = {
            "Content-Disposition": 'attachment; filename="lgt.zip"',
            "Content-Length": str(archive.seek(0, 2)),
        }
        archive.seek(0)
        given = BackgroundTask(jobs.fetched, members)
        parts = iter(lambda: archive.read(_BLOCK), b"")
        return StreamingResponse(
            parts, media_type="application/zip", headers=headers, background=given
        )


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _zip(done: list[tuple[str, Kept]], kind: str) -> IO[bytes]:
    """Return an open file with pictures, which memory alone may not hold."""
    file, used = tempfile.TemporaryFile(), set[str]()  # noqa: SIM115  Its reader closes it.
    suffix = "jpg" if kind == "jpeg" else "png"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for label, kept in done:
            name, number = f"{label}.{suffix}", 2
            while name in used:
                name, number = f"{label}_{number}.{suffix}", number + 1
            used.add(name)
            archive.writestr(name, transcode(kept.read(), kind))
    return file
