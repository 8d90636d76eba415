"""The HTTP API and the page as one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from lgt import __version__
from lgt.web.batches import add_batches
from lgt.web.decoding import Decoders
from lgt.web.events import stream
from lgt.web.forms import (
    KEEPING,
    Problem,
    queue_form,
    refusing_pictures,
    refusing_when_full,
)
from lgt.web.guard import Guard, sub_path
from lgt.web.jobs import DONE, Job, Jobs
from lgt.web.limits import Limits
from lgt.web.openapi import EVENTS, UPLOAD, JobState, Kind, form_schema, gives, refusals
from lgt.web.previews import add_previews
from lgt.web.stylist import Stylist
from lgt.web.uploads import MEDIA_TYPES, disposition, transcode

STATIC = Path(__file__).resolve().parent / "static"


def create_app(
    stylist: Stylist,
    *,
    limits: Limits | None = None,
    queue: int = 8,
    host: str = "127.0.0.1",
    allowed_hosts: tuple[str, ...] = (),
    root_path: str = "",
    jobs: Jobs | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        stylist: Who paints.
        limits: Bounds on uploads.
        queue: Most jobs that wait.
        host: Address that the server is bound to.
        allowed_hosts: Further names that clients may use for it.
        root_path: Where a proxy shows it, such as `/paint`; empty: at the top of its host.
        jobs: The queue; None makes one.
    """
    limits = limits or Limits()
    jobs = jobs or Jobs(queue)
    decoders = Decoders()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()
        decoders.close()

    app = FastAPI(
        title="LGT", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.jobs = jobs
    _handle_errors(app)
    _add_facts(app, stylist, jobs, limits)
    _add_jobs(app, stylist, jobs, decoders, limits)
    add_batches(app, stylist, jobs, decoders, limits)
    add_previews(app, jobs, decoders, limits)
    _add_page(app)
    app.add_middleware(
        Guard,
        host=host,
        allowed_hosts=allowed_hosts,
        max_body=limits.body,
        root_path=sub_path(root_path),
    )
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "wrong_method", 413: "too_large"}
        code = getattr(error, "code", None) or codes.get(error.status_code, "bad_request")
        content = {"detail": error.detail, "code": code}
        return JSONResponse(content, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return JSONResponse({"detail": found, "code": "bad_request"}, 422)


def _add_facts(app: FastAPI, stylist: Stylist, jobs: Jobs, limits: Limits) -> None:
    @app.get("/api/health", responses=refusals())
    async def health() -> dict[str, Any]:
        """Say that the server is up, what it runs and what it takes."""
        return {
            "status": "ok",
            "version": __version__,
            "model": stylist.name,
            "device": stylist.device,
            "sample": stylist.sample is not None,
            "is_random": stylist.is_random,
            "defaults": dict(stylist.defaults),
            "queue": {"length": jobs.num_waiting, "limit": jobs.max_waiting},
            "limits": {
                "max_pixels": limits.max_pixels,
                "max_upload_bytes": limits.max_upload,
                "max_batch": limits.max_batch,
            },
        }

    @app.get(
        "/api/metrics",
        response_class=Response,
        responses=refusals() | gives("text/plain", schema={"type": "string"}),
    )
    async def metrics() -> Response:
        """Return counters in the text format of Prometheus."""
        text = jobs.counters.text(
            waiting=jobs.num_waiting, limit=jobs.max_waiting, running=jobs.is_running
        )
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/api/styles", responses=refusals())
    def styles(request: Request) -> dict[str, Any]:
        """List the styles; `thumbnail` is null where the model has no picture."""
        root = request.scope["root_path"]
        listed = [
            {
                "id": i,
                "name": style.name,
                "is_painted": style.is_painted,
                "is_added": style.is_added,
                "thumbnail": f"{root}/api/styles/{quote(style.name)}/thumbnail"
                if style.picture
                else None,
            }
            for i, style in enumerate(stylist.styles)
        ]
        return {"model": stylist.name, "styles": listed}

    @app.get(
        "/api/styles/{name}/thumbnail",
        response_class=Response,
        responses=refusals(404, 422) | gives("image/jpeg"),
    )
    def thumbnail(name: str) -> Response:
        """Return the small picture of a style, given by name or id."""
        for i, style in enumerate(stylist.styles):
            if name in (style.name, str(i)) and style.picture is not None:
                if isinstance(style.picture, bytes):
                    return Response(style.picture, media_type="image/jpeg")
                return FileResponse(style.picture, headers={"Cache-Control": "max-age=3600"})
        raise Problem(404, "not_found", "no such style, or it has no picture")

    @app.get(
        "/api/sample",
        response_class=Response,
        responses=refusals(404) | gives("image/jpeg"),
    )
    def sample() -> Response:
        """Return a photo to try the model with."""
        if stylist.sample is None:
            raise Problem(404, "not_found", "the model comes without a sample photo")
        return FileResponse(stylist.sample)


def _find(jobs: Jobs, job_id: str) -> Job:
    job = jobs.get(job_id)
    if job is None:
        if jobs.is_gone(job_id):
            raise Problem(410, "gone", f"the job is no longer kept: {KEEPING}")
        raise Problem(404, "no_job", "no such job")
    return job


def _add_jobs(
    app: FastAPI, stylist: Stylist, jobs: Jobs, decoders: Decoders, limits: Limits
) -> None:
    @app.post(
        "/api/jobs",
        status_code=202,
        response_model=JobState,
        responses=refusals(*UPLOAD),
        openapi_extra=form_schema("image", has_mask=True),
    )
    async def create(request: Request) -> dict[str, Any]:
        """Queue one photo."""
        new = await queue_form(request, stylist, jobs, decoders, limits, file_field="image")
        return jobs.describe(new[0])

    @app.get("/api/jobs/{job_id}", response_model=JobState, responses=refusals(404, 410, 422))
    async def read(job_id: str) -> dict[str, Any]:
        """Return the state of a job: queued, running, done, failed or cancelled."""
        return jobs.describe(_find(jobs, job_id))

    @app.delete("/api/jobs/{job_id}", response_model=JobState, responses=refusals(404, 410, 422))
    async def cancel(job_id: str) -> dict[str, Any]:
        """Cancel a job; one that is finished stays as it is."""
        job = _find(jobs, job_id)
        jobs.cancel(job)
        return jobs.describe(job)

    @app.get(
        "/api/jobs/{job_id}/events",
        response_class=Response,
        responses=refusals(404, 410, 422) | EVENTS,
    )
    async def events(job_id: str) -> Response:
        """Stream the state of a job as server-sent events, until it is finished."""
        job = _find(jobs, job_id)
        return stream(jobs, lambda: jobs.describe(job))

    @app.get(
        "/api/jobs/{job_id}/result",
        response_class=Response,
        responses=refusals(404, 409, 410, 422, 503) | gives("image/png", "image/jpeg"),
    )
    async def result(job_id: str, format: Kind = "png") -> Response:  # noqa: A002
        """Return the picture of a job that is done."""
        job = _find(jobs, job_id)
        if job.state != DONE or (kept := job.result) is None:
            raise Problem(409, "not_done", f"there is no picture: the job is {job.state}")
        with refusing_when_full(jobs), refusing_pictures():  # Longer than JPEG takes.
            content = await decoders.run(lambda: transcode(kept.read(), format))
        name = f"{job.label}.{'jpg' if format == 'jpeg' else 'png'}"
        headers = {"Content-Disposition": disposition("inline", name)}
        given = BackgroundTask(jobs.fetched, [job])
        return Response(content, media_type=MEDIA_TYPES[format], headers=headers, background=given)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return FileResponse(STATIC / "docs.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
