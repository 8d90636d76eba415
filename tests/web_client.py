"""What a client of the HTTP API does: send a photo, wait for the painting."""

from __future__ import annotations

import io
import time
from typing import Any

from limits import HANG
from PIL import Image


def png(width: int = 48, height: int = 32, color: str = "red", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def post(client: Any, image: bytes | None = None, mask: bytes | None = None, **data: Any) -> Any:
    files = {"image": ("holiday photo.png", png() if image is None else image)}
    if mask is not None:
        files["mask"] = ("mask.png", mask)
    return client.post("/api/jobs", files=files, data={"style": "monet"} | data)


def finished(client: Any, job_id: str, seconds: float = HANG) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = client.get(f"/api/jobs/{job_id}").json()
        if job["state"] in {"done", "failed", "cancelled"}:
            return job
        time.sleep(0.01)
    raise AssertionError(f"not finished: {job}")


def wait_running(client: Any, job_id: str) -> None:
    end = time.monotonic() + HANG
    while client.get(f"/api/jobs/{job_id}").json()["progress"] < 0.4:
        assert time.monotonic() < end
        time.sleep(0.01)
