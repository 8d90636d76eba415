"""Batches: several photos with the same settings, and their pictures as one file."""

from __future__ import annotations

import secrets
import zipfile
from collections import OrderedDict
from io import BytesIO
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from lgt.web.events import stream
from lgt.web.forms import Problem, enqueue, jobs_of_form, refusing_pictures
from lgt.web.jobs import DONE, FINISHED, RUNNING, Job, Jobs
from lgt.web.limits import Limits
from lgt.web.openapi import Kind, form_schema
from lgt.web.stylist import Stylist
from lgt.web.uploads import transcode

MAX_BATCHES = 64


def add_batches(app: FastAPI, stylist: Stylist, jobs: Jobs, limits: Limits) -> None:
    """Add the calls under `/api/batch`."""
    batches: OrderedDict[str, list[Job]] = OrderedDict()

    def find(batch_id: str) -> list[Job]:
        if batch_id not in batches:
            raise Problem(404, "no_batch", "no such batch; results are kept for a while only")
        return batches[batch_id]

    def describe(batch_id: str, members: list[Job]) -> dict[str, Any]:
        states = [jobs.describe(job) for job in members]
        is_over = all(state["state"] in FINISHED for state in states)
        return {"id": batch_id, "state": DONE if is_over else RUNNING, "jobs": states}

    @app.post("/api/batch", status_code=202, openapi_extra=form_schema("images", has_mask=False))
    async def create_batch(request: Request) -> dict[str, Any]:
        """Queue several photos with the same settings: all of them or none."""
        new = await jobs_of_form(request, stylist, limits, file_field="images")
        enqueue(jobs, new)
        batch_id = secrets.token_urlsafe(16)
        batches[batch_id] = new
        while len(batches) > MAX_BATCHES:
            batches.popitem(last=False)
        return describe(batch_id, new)

    @app.get("/api/batch/{batch_id}")
    def read_batch(batch_id: str) -> dict[str, Any]:
        """Return the states of a batch's jobs; `state` is `done` when all are finished."""
        return describe(batch_id, find(batch_id))

    @app.delete("/api/batch/{batch_id}")
    def cancel_batch(batch_id: str) -> dict[str, Any]:
        """Cancel the jobs of a batch that are not finished."""
        members = find(batch_id)
        for job in reversed(members):
            jobs.cancel(job)
        return describe(batch_id, members)

    @app.get("/api/batch/{batch_id}/events")
    async def batch_events(batch_id: str) -> Response:
        """Stream the states of a batch's jobs as server-sent events, until all are finished."""
        members = find(batch_id)
        return stream(jobs, lambda: describe(batch_id, members))

    @app.get("/api/batch/{batch_id}/result")
    async def batch_result(batch_id: str, format: Kind = "png") -> Response:  # noqa: A002
        """Return the pictures of a finished batch as a zip file."""
        members = [job for job in find(batch_id) if jobs.get(job.id) is not None]
        if not all(job.is_finished for job in members):
            raise Problem(409, "not_done", "some jobs of the batch are not finished")
        done = [(job.label, job.result) for job in members if job.result is not None]
        if not done:
            raise Problem(409, "no_result", "no job of the batch gave a picture that is still kept")
        with refusing_pictures():  # Longer than JPEG takes.
            content = await run_in_threadpool(_zip, done, format)
        headers = {"Content-Disposition": 'attachment; filename="lgt.zip"'}
        return Response(content, media_type="application/zip", headers=headers)


def _zip(done: list[tuple[str, bytes]], kind: str) -> bytes:
    buffer, used = BytesIO(), set[str]()
    suffix = "jpg" if kind == "jpeg" else "png"
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for label, png in done:
            name, number = f"{label}.{suffix}", 2
            while name in used:
                name, number = f"{label}_{number}.{suffix}", number + 1
            used.add(name)
            archive.writestr(name, transcode(png, kind))
    return buffer.getvalue()
