"""The HTTP API: what is not fetched is kept while there is room, and what is gone is said."""

from __future__ import annotations

import io
import time
import zipfile

import pytest
from limits import HANG
from stylists import FakeStylist
from web_client import finished, png, post

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt.errors import StorageError
from lgt.web.api import create_app
from lgt.web.jobs import Job, Jobs, QueueFullError
from lgt.web.limits import Limits
from lgt.web.shelf import Shelf

LIMITS = Limits(max_pixels=40_000, max_upload=60_000, max_batch=100)


def batch_of(client: TestClient, number: int) -> dict[str, object]:
    files = [("images", (f"p{i}.png", png(16, 16))) for i in range(number)]
    batch = client.post("/api/batch", files=files, data={"style": "durer"}).json()
    for job in batch["jobs"]:
        finished(client, job["id"])
    return batch


def test_a_batch_of_a_hundred_gives_a_hundred_pictures_after_other_clients_jobs() -> None:
    app = create_app(FakeStylist(), limits=LIMITS, queue=100)
    with TestClient(app, base_url="http://localhost") as client:
        batch = batch_of(client, 100)
        for _ in range(70):  # More batches and jobs of others than were kept once.
            batch_of(client, 1)
        state = client.get(f"/api/batch/{batch['id']}").json()
        assert not any(job["is_gone"] for job in state["jobs"])
        answer = client.get(f"/api/batch/{batch['id']}/result")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [f"p{i}_durer.png" for i in range(100)]
        assert archive.testzip() is None


def test_what_is_gone_is_said() -> None:
    jobs = Jobs(100, max_kept=3)
    app = create_app(FakeStylist(), limits=LIMITS, jobs=jobs)
    with TestClient(app, base_url="http://localhost") as client:
        batch = batch_of(client, 2)
        first, second = (job["id"] for job in batch["jobs"])  # type: ignore[attr-defined]
        for _ in range(2):
            finished(client, post(client).json()["id"])
        answer = client.get(f"/api/jobs/{first}/result")
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
        assert "kept for an hour" in answer.json()["detail"]
        assert client.get(f"/api/jobs/{first}").status_code == 410
        assert client.get(f"/api/jobs/{second}/result").status_code == 200
        assert client.get("/api/jobs/nothing").json()["code"] == "no_job"
        state = client.get(f"/api/batch/{batch['id']}").json()
        assert [job["is_gone"] for job in state["jobs"]] == [True, False]
        answer = client.get(f"/api/batch/{batch['id']}/result")
        assert answer.status_code == 410 and answer.json()["code"] == "gone"
        assert "1 of 2 pictures of the batch are no longer kept (p0_durer)" in answer.text


def run(jobs: Jobs, size: int = 100) -> Job:
    job = Job("x", lambda _: bytes(size))
    jobs.add([job])
    end = time.monotonic() + HANG
    while not job.is_finished:
        assert time.monotonic() < end
        time.sleep(0.002)
    return job


@pytest.mark.parametrize("bounds", [{"max_kept": 3}, {"max_bytes": 300}])
def test_what_was_fetched_makes_room_first(bounds: dict[str, int]) -> None:
    jobs = Jobs(**bounds)
    made = [run(jobs) for _ in range(3)]
    jobs.fetched([made[1]])
    made.append(run(jobs))
    assert [jobs.get(job.id) is not None for job in made] == [True, False, True, True]
    assert jobs.is_gone(made[1].id) and made[1].is_gone and not made[0].is_gone
    made.append(run(jobs))
    assert [job.is_gone for job in made] == [True, True, False, False, False]
    jobs.close()


def test_places_are_held_while_photos_are_read() -> None:
    jobs = Jobs(3)
    with jobs.places(2):
        with pytest.raises(QueueFullError, match="2 of 3 places are taken and 2 asked for"):
            jobs.add([Job("x", None), Job("y", None)])
        jobs.add([Job("a", lambda _: b"a"), Job("b", lambda _: b"b")], has_places=True)
    with jobs.places(1):
        pass
    jobs.close()
    with pytest.raises(QueueFullError):
        jobs.add([Job("late", None)], has_places=True)


def test_a_shelf_keeps_bytes_and_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    kept = [shelf.put(bytes([i]) * 100_000) for i in range(20)]
    assert [item.read() for item in kept] == [bytes([i]) * 100_000 for i in range(20)]
    pages = shelf._data.execute("PRAGMA page_count").fetchone()[0]
    for _ in range(20):
        kept.append(shelf.put(bytes(100_000)))
        del kept[0]
    assert shelf._data.execute("PRAGMA page_count").fetchone()[0] <= 1.2 * pages
    shelf._data.execute("PRAGMA max_page_count=10")
    with pytest.raises(StorageError, match="no room for"):
        for _ in range(30):
            kept.append(shelf.put(bytes(200_000)))
