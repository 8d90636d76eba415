"""Previews: small pictures of photos that a browser can not show itself, such as TIFF."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from fastapi import FastAPI, Request
from fastapi.responses import Response
from PIL import Image
from starlette.datastructures import UploadFile

from lgt.image import save_options
from lgt.web.decoding import Decoders
from lgt.web.forms import (
    Problem,
    check_form,
    check_size,
    refusing_pictures,
    refusing_when_full,
    timed,
)
from lgt.web.jobs import Jobs
from lgt.web.limits import Limits
from lgt.web.openapi import UPLOAD, gives, preview_schema, refusals
from lgt.web.uploads import read_photo, safe_stem

MAX_SIDE = 1024
"""Longest side of a preview, in pixels."""


def add_previews(app: FastAPI, jobs: Jobs, decoders: Decoders, limits: Limits) -> None:
    """Add `/api/preview`."""

    @app.post(
        "/api/preview",
        response_class=Response,
        responses=refusals(*UPLOAD) | gives("image/jpeg", "image/png"),
        openapi_extra=preview_schema(),
    )
    async def preview(request: Request) -> Response:
        """Return a small picture of a photo: JPEG, or PNG where it has transparency.

        The headers `X-Photo-Width` and `X-Photo-Height` tell its own size, upright, in pixels.
        """
        check_form(request)
        async with request.form(max_files=1, max_fields=1) as form:
            parts = form.multi_items()
            if len(parts) != 1 or parts[0][0] != "image" or not isinstance(parts[0][1], UploadFile):
                raise Problem(422, "no_image", "image: send one file, and nothing else")
            part = parts[0][1]
            check_size(part, limits)
            stem = safe_stem(part.filename)
            with refusing_when_full(jobs), refusing_pictures():
                content, media_type, size = await decoders.run(
                    lambda: _preview(timed(part), stem, limits.max_pixels)
                )
        headers = {"X-Photo-Width": str(size[0]), "X-Photo-Height": str(size[1])}
        return Response(content, media_type=media_type, headers=headers)


def _preview(file: BinaryIO, name: str, max_pixels: int) -> tuple[bytes, str, tuple[int, int]]:
    """Return the preview's bytes, its media type and the size of the photo."""
    photo = read_photo(file, name, max_pixels=max_pixels, keep_alpha=True)
    size, kind = photo.size, "JPEG" if photo.mode == "RGB" else "PNG"
    photo.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    photo.save(buffer, kind, **save_options(photo, kind))
    return buffer.getvalue(), f"image/{kind.lower()}", size
