"""The HTTP API decodes what it has places for, in threads of its own, and not for ever."""

from __future__ import annotations

import io
import threading

import pytest
from limits import HANG
from PIL import Image
from stylists import FakeStylist
from web_client import png, post, wait_running

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

import lgt.web.forms
from lgt.errors import InputError
from lgt.web import decoding
from lgt.web.api import create_app
from lgt.web.decoding import Timed
from lgt.web.limits import Limits
from lgt.web.uploads import read_photo


def test_nothing_is_decoded_for_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    stylist = FakeStylist()
    decoded = []
    usual = lgt.web.forms.read_photo
    monkeypatch.setattr(
        lgt.web.forms, "read_photo", lambda *a, **k: decoded.append(1) or usual(*a, **k)
    )
    app = create_app(stylist, limits=Limits(max_batch=3), queue=3)
    with TestClient(app, base_url="http://localhost") as client:
        stylist.gate.clear()
        wait_running(client, post(client).json()["id"])
        files = [("images", (f"{i}.png", png())) for i in range(3)]
        assert client.post("/api/batch", files=files, data={"style": "durer"}).status_code == 202
        assert len(decoded) == 4
        for _ in range(3):
            answer = client.post("/api/batch", files=files, data={"style": "durer"})
            assert answer.status_code == 503 and answer.json()["code"] == "queue_full"
        bad = client.post("/api/batch", files=[("images", ("a.png", b"no"))], data={"style": "9"})
        assert bad.status_code == 422
        assert len(decoded) == 4
        stylist.gate.set()


def test_a_place_is_free_again_after_a_photo_that_can_not_be_read() -> None:
    app = create_app(FakeStylist(), queue=1)
    with TestClient(app, base_url="http://localhost") as client:
        for _ in range(3):
            assert post(client, b"not a picture").json()["code"] == "bad_image"
        assert post(client).status_code == 202


def test_health_answers_while_pictures_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, started = threading.Event(), threading.Semaphore(0)

    def slow(*_: object, **__: object) -> Image.Image:
        started.release()
        assert gate.wait(HANG)
        return Image.new("RGB", (16, 16))

    monkeypatch.setattr("lgt.web.previews.read_photo", slow)
    monkeypatch.setattr(decoding, "MAX_WAITING", 50)
    app = create_app(FakeStylist())
    with TestClient(app, base_url="http://localhost") as client:
        statuses: list[int] = []

        def ask() -> None:
            answer = client.post("/api/preview", files={"image": ("a.png", png())})
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=ask) for _ in range(60)]
        for thread in threads:
            thread.start()
        for _ in range(decoding.WORKERS):
            assert started.acquire(timeout=HANG)
        assert client.get("/api/health").status_code == 200
        assert client.get("/api/metrics").status_code == 200
        assert not started.acquire(timeout=0.05)
        gate.set()
        for thread in threads:
            thread.join(HANG)
    assert statuses.count(200) + statuses.count(503) == 60 and statuses.count(200) >= 50


def test_a_picture_is_read_for_a_while_only() -> None:
    buffer = io.BytesIO(png(64, 64))
    assert read_photo(Timed(buffer, "a"), "a", max_pixels=9999).size == (64, 64)
    with pytest.raises(InputError, match="a: reading the picture took longer than 0 s"):
        read_photo(Timed(buffer, "a", 0.0), "a", max_pixels=9999)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_is_read_through_the_clock(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), "teal").save(buffer, kind)
    photo = read_photo(Timed(buffer, "a"), "a", max_pixels=9999)
    assert photo.size == (48, 32)
    deep = io.BytesIO()
    Image.new("I;16", (48, 32), 30000).save(deep, "TIFF", compression="tiff_lzw")
    assert read_photo(Timed(deep, "a"), "a", max_pixels=9999).getpixel((0, 0)) == (117, 117, 117)
