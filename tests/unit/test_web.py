"""The HTTP API: jobs, limits, refusals, events, batches, and who may ask."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits import HANG
from PIL import Image
from stylists import FakeStylist
from web_client import finished, png, post, wait_running

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt.web.api import create_app
from lgt.web.jobs import Job, Jobs
from lgt.web.limits import Limits

LIMITS = Limits(max_pixels=40_000, max_upload=60_000, max_batch=3)


@pytest.fixture
def stylist() -> FakeStylist:
    return FakeStylist()


@pytest.fixture
def client(stylist: FakeStylist) -> Iterator[TestClient]:
    app = create_app(stylist, limits=LIMITS, queue=3)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client
        stylist.gate.set()


def test_a_job_from_upload_to_result(client: TestClient) -> None:
    answer = post(client)
    assert answer.status_code == 202
    job = finished(client, answer.json()["id"])
    assert job["state"] == "done" and job["progress"] == 1 and job["seconds"] >= 0
    result = client.get(f"/api/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "image/png"
    assert 'filename="holiday_photo_monet.png"' in result.headers["content-disposition"]
    picture = Image.open(io.BytesIO(result.content))
    assert picture.size == (48, 32) and picture.getpixel((0, 0)) == (0, 255, 255)
    jpeg = client.get(f"/api/jobs/{job['id']}/result", params={"format": "jpeg"})
    assert Image.open(io.BytesIO(jpeg.content)).format == "JPEG"
    assert client.get(f"/api/jobs/{job['id']}/result?format=bmp").status_code == 422


@pytest.mark.parametrize(
    ("field", "sent", "seen"),
    [
        ("strength", "0.25", 0.25),
        ("preserve_color", "true", True),
        ("canvas", "768", 768),
        ("canvas", "0", 0),
        ("style_scale", "1.5", 1.5),
        ("seed", "7", 7),
        ("num_steps", "3", 3),
        ("source_style", "photo", "photo"),
        ("max_side", "512", 512),
        ("detail", "0.5", 0.5),
        ("repulsion", "0.5", 0.5),
        ("temperature_lambda", "0.3", 0.3),
    ],
)
def test_every_field_arrives(
    client: TestClient, stylist: FakeStylist, field: str, sent: str, seen: object
) -> None:
    finished(client, post(client, **{field: sent}).json()["id"])
    assert getattr(stylist.calls[0][1], field) == seen


def test_blend_and_mask_arrive(client: TestClient, stylist: FakeStylist) -> None:
    blend = json.dumps({"monet": 0.3, "durer": 0.7})
    mask = png(24, 16, "white", "L")
    files = {"image": ("a.png", png()), "mask": ("m.png", mask)}
    answer = client.post("/api/jobs", files=files, data={"blend": blend})
    finished(client, answer.json()["id"])
    _, settings, mask_seen = stylist.calls[0]
    assert settings.blend == {"monet": 0.3, "durer": 0.7} and settings.style is None
    assert mask_seen is not None and mask_seen.size == (48, 32) and mask_seen.mode == "L"
    assert mask_seen.getpixel((5, 5)) == 255


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"strength": "2"}, "strength: must be at most 1"),
        ({"strength": "nan"}, "strength"),
        ({"style": "mone"}, "did you mean 'monet'"),
        ({"style": "9"}, "unknown style '9'"),
        ({"style": ""}, "either style or blend"),
        ({"blend": '{"monet": 1}'}, "got both"),
        ({"style": "", "blend": "{"}, "blend: must be a JSON object"),
        ({"style": "", "blend": '{"monet": -1}'}, "at least 0"),
        ({"strenght": "1"}, "did you mean 'strength'"),
        ({"seed": "-1"}, "seed: must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(client: TestClient, data: dict[str, str], words: str) -> None:
    answer = post(client, **data)
    assert answer.status_code == 422 and answer.json()["code"] == "bad_settings"
    assert words in answer.json()["detail"]


def test_all_mistakes_are_reported_together(client: TestClient) -> None:
    detail = post(client, strength="2", style_scale="99", canvas="7").json()["detail"]
    assert "strength" in detail and "style_scale" in detail
    assert "canvas: must be 0 or at least 32 pixels (got 7)" in detail


def test_bad_pictures_are_refused(client: TestClient) -> None:
    cases = [
        (b"not a picture", 422, "bad_image"),
        (b"", 422, "bad_image"),
        (png(64, 64)[:90], 422, "bad_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422, "bad_image"),
        (png(8, 8), 422, "bad_image"),
        (png(300, 300), 422, "too_many_pixels"),
        (png(30_000, 30_000, "black", "1"), 413, "too_large"),
        (png(1) + bytes(70_000), 413, "too_large"),
    ]
    for content, status, code in cases:
        answer = post(client, content)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert post(client, mask=png(32, 48)).json()["code"] == "bad_image"
    assert client.post("/api/jobs", data={"style": "monet"}).status_code == 415


def test_a_decompression_bomb_is_refused_before_it_is_decoded(stylist: FakeStylist) -> None:
    bomb = png(20_000, 20_000, "black", "1")
    app = create_app(stylist, limits=Limits(max_upload=len(bomb) + 1))
    with TestClient(app, base_url="http://localhost") as client:
        answer = post(client, bomb)
    assert answer.status_code == 422 and answer.json()["code"] == "too_many_pixels"


def test_large_bodies_are_cut_off(client: TestClient) -> None:
    body = bytes(300_000)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/api/jobs", content=body, headers=kind).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        yield from (bytes(50_000) for _ in range(6))

    answer = client.post("/api/jobs", content=chunks(), headers=kind)
    assert answer.status_code == 413 and answer.json()["code"] == "too_large"


def test_a_full_queue_says_when_to_come_back(client: TestClient, stylist: FakeStylist) -> None:
    stylist.gate.clear()
    first = post(client).json()["id"]
    wait_running(client, first)
    positions = [post(client).json()["position"] for _ in range(3)]
    assert positions == [1, 2, 3]
    answer = post(client)
    assert answer.status_code == 503 and answer.json()["code"] == "queue_full"
    assert int(answer.headers["retry-after"]) >= 1
    metrics = client.get("/api/metrics").text
    assert "lgt_queue_length 3\n" in metrics and 'lgt_jobs_total{outcome="refused"} 1' in metrics


def test_cancelling_stops_the_work_and_frees_the_place(
    client: TestClient, stylist: FakeStylist
) -> None:
    stylist.gate.clear()
    running, waiting = (post(client).json()["id"] for _ in range(2))
    wait_running(client, running)
    assert client.delete(f"/api/jobs/{waiting}").json()["state"] == "cancelled"
    assert client.delete(f"/api/jobs/{running}").json()["state"] == "cancelled"
    assert stylist.stopped.wait(HANG)
    assert client.get(f"/api/jobs/{running}/result").status_code == 409
    stylist.gate.set()
    last = post(client).json()["id"]
    assert finished(client, last)["state"] == "done"
    assert len(stylist.calls) == 2
    assert client.delete(f"/api/jobs/{last}").json()["state"] == "done"
    assert 'lgt_jobs_total{outcome="cancelled"} 2' in client.get("/api/metrics").text


def test_failures_are_told_and_the_inside_is_not(client: TestClient) -> None:
    told = finished(client, post(client, repulsion="9").json()["id"])
    assert told["state"] == "failed" and told["error"] == "repulsion: this model knows none"
    hidden = finished(client, post(client, repulsion="8").json()["id"])
    assert hidden["state"] == "failed" and "secret" not in hidden["error"]
    assert finished(client, post(client).json()["id"])["state"] == "done"


def test_events_tell_the_story(client: TestClient) -> None:
    job_id = post(client).json()["id"]
    with client.stream("GET", f"/api/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = list(stream.iter_lines())
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert data[-1]["state"] == "done" and data[-1]["progress"] == 1
    assert "event: done" in lines
    assert client.get("/api/jobs/nothing/events").status_code == 404


def test_a_job_says_that_frames_are_left_out(client: TestClient) -> None:
    first, second = (Image.new("RGB", (48, 32), color) for color in ("red", "blue"))
    buffer = io.BytesIO()
    first.save(buffer, "WEBP", save_all=True, append_images=[second], duration=50)
    files = [("images", ("a.webp", buffer.getvalue())), ("images", ("b.png", png()))]
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    animated, still = (finished(client, job["id"]) for job in batch["jobs"])
    assert animated["note"].startswith("a: only the first of its frames was painted")
    assert still["note"] is None


def test_names_of_any_script_come_back(client: TestClient) -> None:
    names = ["写真.jpg", "Mu\u0308ller.jpg", "照" * 99 + ".png"]
    files = [("images", (name, png())) for name in names]
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    for job in batch["jobs"]:
        finished(client, job["id"])
    answer = client.get(f"/api/batch/{batch['id']}/result")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        stems = ["写真", "Müller", "照" * 40]
        assert archive.namelist() == [f"{stem}_durer.png" for stem in stems]
    single = client.get(f"/api/jobs/{batch['jobs'][1]['id']}/result").headers
    wanted = "inline; filename=\"M_ller_durer.png\"; filename*=UTF-8''M%C3%BCller_durer.png"
    assert single["content-disposition"] == wanted


def test_a_batch_comes_back_as_a_zip(client: TestClient, stylist: FakeStylist) -> None:
    names = ["a.png", "../../a.png", "b.jpg"]
    files = [("images", (name, png())) for name in names]
    stylist.gate.clear()
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    assert client.get(f"/api/batch/{batch['id']}/result").status_code == 409
    stylist.gate.set()
    for job in batch["jobs"]:
        finished(client, job["id"])
    answer = client.get(f"/api/batch/{batch['id']}/result", params={"format": "jpeg"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["a_durer.jpg", "a_durer_2.jpg", "b_durer.jpg"]
    assert client.get("/api/batch/nothing").status_code == 404
    too_many = client.post("/api/batch", files=files + files, data={"style": "durer"})
    assert too_many.status_code in {400, 422}


def test_a_batch_is_followed_and_cancelled(client: TestClient, stylist: FakeStylist) -> None:
    files = [("images", (name, png())) for name in ("a.png", "b.png")]
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    with client.stream("GET", f"/api/batch/{batch['id']}/events") as stream:
        lines = list(stream.iter_lines())
    last = json.loads([line for line in lines if line.startswith("data: ")][-1][6:])
    assert last["state"] == "done" and [job["state"] for job in last["jobs"]] == ["done"] * 2
    assert "event: done" in lines
    stylist.gate.clear()
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    assert batch["state"] == "running"
    wait_running(client, batch["jobs"][0]["id"])
    gone = client.delete(f"/api/batch/{batch['id']}").json()
    assert [job["state"] for job in gone["jobs"]] == ["cancelled"] * 2
    assert stylist.stopped.wait(HANG) and len(stylist.calls) == 3
    assert client.get("/api/batch/nothing/events").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost:7860"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Host": "192.168.0.5"}, 421),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:7860"}, 200),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:3000"}, 403),
        ({"Host": "127.0.0.1:7860", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_who_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/api/health", headers=headers).status_code == status


def test_a_server_on_every_address_answers_to_addresses_but_not_to_names() -> None:
    app = create_app(FakeStylist(), host="0.0.0.0", allowed_hosts=("studio.lan",))
    with TestClient(app, base_url="http://localhost") as client:
        hosts = {"192.168.0.5:7860": 200, "studio.lan": 200, "evil.example": 421, "": 421}
        for host, status in hosts.items():
            assert client.get("/api/health", headers={"Host": host}).status_code == status


def test_answers_carry_security_headers(client: TestClient) -> None:
    for path in ("/", "/docs", "/static/app.js", "/api/health", "/api/jobs/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_the_page_names_no_other_host(client: TestClient) -> None:
    from lgt.web.api import STATIC

    checked = 0
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text, path.name
        checked += 1
    assert checked >= 6
    assert "<script>" not in client.get("/").text


def test_no_path_is_read_that_a_client_names(client: TestClient) -> None:
    for path in (
        "/api/styles/..%2f..%2fconfig.json/thumbnail",
        "/api/styles/%2fetc%2fpasswd/thumbnail",
        "/static/..%2f..%2fapi.py",
        "/static/%2fetc%2fpasswd",
    ):
        assert client.get(path).status_code == 404


def test_styles_with_and_without_pictures(client: TestClient, tmp_path: Path) -> None:
    listed = client.get("/api/styles").json()["styles"]
    assert [s["name"] for s in listed] == ["photo", "monet", "durer", "ukiyoe"]
    assert listed[0]["is_painted"] is False and listed[1]["thumbnail"] is None
    assert client.get("/api/styles/monet/thumbnail").status_code == 404
    assert client.get("/api/sample").status_code == 404
    for name in ("photo", "monet", "durer", "ukiyoe"):
        Image.new("RGB", (8, 8), "blue").save(tmp_path / f"{name}.jpg")
    with_pictures = FakeStylist(tmp_path, tmp_path / "photo.jpg")
    with TestClient(create_app(with_pictures), base_url="http://localhost") as other:
        place = other.get("/api/styles").json()["styles"][1]["thumbnail"]
        assert other.get(place).headers["content-type"] == "image/jpeg"
        assert other.get("/api/styles/monet/thumbnail").status_code == 200
        assert other.get("/api/sample").status_code == 200


def test_health_and_openapi(client: TestClient) -> None:
    health = client.get("/api/health").json()
    assert health["model"] == "fake" and health["queue"] == {"length": 0, "limit": 3}
    assert health["limits"]["max_pixels"] == 40_000
    paths = client.get("/openapi.json").json()["paths"]
    form = paths["/api/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image", "mask", "strength", "blend"} <= set(form["properties"])


def test_results_are_bounded_in_number_age_and_bytes() -> None:
    def run(jobs: Jobs, number: int) -> list[Job]:
        made = []
        for _ in range(number):
            job = Job("x", lambda _: bytes(100))
            jobs.add([job])
            while not job.is_finished:
                time.sleep(0.002)
            made.append(job)
        return made

    def kept(jobs: Jobs, made: list[Job]) -> list[bool]:
        return [jobs.get(job.id) is not None for job in made]

    by_number, by_bytes, by_age = Jobs(max_kept=2), Jobs(max_bytes=250), Jobs(max_age=0.05)
    assert kept(by_number, run(by_number, 3)) == [False, True, True]
    assert kept(by_bytes, run(by_bytes, 4)) == [False, False, True, True]
    aged = run(by_age, 1)
    time.sleep(0.06)
    assert kept(by_age, aged) == [False] and aged[0].result is None
    for jobs in (by_number, by_bytes, by_age):
        jobs.close()
