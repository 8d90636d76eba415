"""The HTTP API: pictures say how they were made; previews of what browsers can not show."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import tifffile
from PIL import Image
from profiles import wide_in_srgb, wide_rgb
from stylists import FakeStylist
from web_client import finished, png

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt.paint.provenance import FileRecord, Provenance, read_provenance, short_sha256
from lgt.web.api import create_app
from lgt.web.limits import Limits
from lgt.web.uploads import read_mask


@pytest.fixture
def stylist() -> FakeStylist:
    return FakeStylist()


@pytest.fixture
def client(stylist: FakeStylist) -> Iterator[TestClient]:
    limits = Limits(max_pixels=40_000, max_upload=60_000, max_batch=3)
    with TestClient(create_app(stylist, limits=limits), base_url="http://localhost") as client:
        yield client


def test_an_empty_seed_is_drawn_for_each_photo(client: TestClient, stylist: FakeStylist) -> None:
    files = [("images", (name, png())) for name in ("a.png", "b.png")]
    batch = client.post("/api/batch", files=files, data={"style": "durer", "seed": ""}).json()
    for job in batch["jobs"]:
        finished(client, job["id"])
    seeds = [settings.seed for _, settings, _ in stylist.calls]
    assert len(set(seeds)) == 2 and None not in seeds
    made = [made_of(client, job["id"]).seed for job in batch["jobs"]]
    assert made == seeds


def made_of(client: TestClient, job_id: str, kind: str = "png") -> Provenance:
    content = client.get(f"/api/jobs/{job_id}/result", params={"format": kind}).content
    made = read_provenance(io.BytesIO(content))
    assert made is not None
    return made


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../trip/été 1.png", "été 1.png"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("..", "photo"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_pictures_name_the_photo_and_the_mask(
    client: TestClient, kind: str, sent: str, kept: str
) -> None:
    photo, mask = png(), png(24, 16, "white", "L")
    files = {"image": (sent, photo), "mask": ("/tmp/m.png", mask)}
    job = finished(
        client, client.post("/api/jobs", files=files, data={"style": "monet"}).json()["id"]
    )
    made = made_of(client, job["id"], kind)
    assert made.input == FileRecord(name=kept, sha256=short_sha256(photo))
    assert made.masks == {"mask": FileRecord(name="m.png", sha256=short_sha256(mask))}


def test_a_zip_holds_provenance(client: TestClient) -> None:
    files = [("images", (name, png())) for name in ("a.png", "b.png")]
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    for job in batch["jobs"]:
        finished(client, job["id"])
    for kind in ("png", "jpeg"):
        answer = client.get(f"/api/batch/{batch['id']}/result", params={"format": kind})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            made = [read_provenance(io.BytesIO(archive.read(n))) for n in archive.namelist()]
        assert [m and m.input.name for m in made] == ["a.png", "b.png"]


def picture_file(kind: str, mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "media_type"),
    [
        ("TIFF", "RGB", "image/jpeg"),
        ("TIFF", "CMYK", "image/jpeg"),
        ("TIFF", "I;16", "image/jpeg"),
        ("TIFF", "RGBA", "image/png"),
        ("BMP", "RGB", "image/jpeg"),
    ],
)
def test_a_preview_is_small_and_tells_the_size(kind: str, mode: str, media_type: str) -> None:
    data = picture_file(kind, mode, (2048, 16))
    with TestClient(create_app(FakeStylist()), base_url="http://localhost") as client:
        answer = client.post("/api/preview", files={"image": ("scan.tif", data)})
    assert answer.status_code == 200 and answer.headers["content-type"] == media_type
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.size == (1024, 8) and f"image/{shown.format}".lower() == media_type
    assert (answer.headers["x-photo-width"], answer.headers["x-photo-height"]) == ("2048", "16")


def test_previews_have_the_limits_of_jobs(client: TestClient) -> None:
    cases = [
        (b"not a picture", 422, "bad_image"),
        (b"", 422, "bad_image"),
        (picture_file("TIFF")[:-40], 422, "bad_image"),
        (picture_file("TIFF", "1", (300, 300)), 422, "too_many_pixels"),
        (picture_file("TIFF") + bytes(60_000), 413, "too_large"),
        (bytes(200_000), 413, "too_large"),
    ]
    for data, status, code in cases:
        answer = client.post("/api/preview", files={"image": ("scan.tif", data)})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert client.post("/api/preview", content=b"x").json()["code"] == "not_a_form"
    twice = [("image", ("a.tif", picture_file("TIFF")))] * 2
    for files in ({"mask": ("a.tif", picture_file("TIFF"))}, twice):
        assert client.post("/api/preview", files=files).status_code in {400, 422}
    foreign = {"Origin": "http://evil.example"}
    answer = client.post("/api/preview", files=twice[:1], headers=foreign)
    assert answer.status_code == 403


def test_profiles_masks_and_other_kinds(client: TestClient) -> None:
    photo = Image.new("RGB", (32, 32), (200, 100, 50))
    buffer = io.BytesIO()
    photo.save(buffer, "TIFF", icc_profile=wide_rgb())
    answer = client.post("/api/preview", files={"image": ("scan.tif", buffer.getvalue())})
    seen = Image.open(io.BytesIO(answer.content)).getpixel((9, 9))
    assert np.abs(np.array(seen) - wide_in_srgb((200, 100, 50))).max() <= 4
    mask = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    mask.paste((255, 255, 255, 255), (0, 0, 32, 8))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    read = read_mask(io.BytesIO(buffer.getvalue()), photo, max_pixels=2000)
    assert [read.getpixel((3, y)) for y in (3, 20)] == [255, 0]
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90)
    answer = client.post("/api/preview", files={"image": ("a.heic", heic)})
    assert answer.status_code == 422
    assert "a: is a HEIC picture, which is not taken" in answer.json()["detail"]
    deep = io.BytesIO()
    tifffile.imwrite(deep, np.zeros((700, 700, 3), np.float32), photometric="rgb", compression=8)
    answer = client.post("/api/preview", files={"image": ("a.tif", deep.getvalue())})
    assert answer.status_code == 422, "refused before it is decoded"
    assert "MB of memory" in answer.json()["detail"]


def test_a_picture_too_long_for_jpeg(stylist: FakeStylist) -> None:
    with TestClient(create_app(stylist), base_url="http://localhost") as client:
        photo = picture_file("PNG", "RGB", (65_536, 16))
        job = client.post("/api/jobs", files={"image": ("a.png", photo)}, data={"style": "monet"})
        finished(client, job.json()["id"])
        result = f"/api/jobs/{job.json()['id']}/result"
        assert client.get(result).status_code == 200
        answer = client.get(result, params={"format": "jpeg"})
        assert answer.status_code == 422
        assert "JPEG takes at most 65500 a side" in answer.json()["detail"]
