"""The HTTP API does what `/openapi.json` says, and nothing that it does not say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from stylists import FakeStylist
from web_client import finished, png, post

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt.web.api import create_app
from lgt.web.limits import Limits

LIMITS = Limits(max_pixels=40_000, max_upload=60_000, max_batch=3)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(FakeStylist(), limits=LIMITS, queue=3)) as client:
        client.base_url = "http://localhost"
        yield client


def entries(client: TestClient, method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()["paths"][path][method.lower()]
    return found["responses"]


CALLS: list[tuple[str, str, dict[str, str], dict[str, Any], int]] = [
    ("GET", "/api/health", {}, {}, 200),
    ("GET", "/api/metrics", {}, {}, 200),
    ("GET", "/api/styles", {}, {}, 200),
    ("GET", "/api/styles/{name}/thumbnail", {"name": "x"}, {}, 404),
    ("GET", "/api/sample", {}, {}, 404),
    ("GET", "/api/jobs/{job_id}", {"job_id": "JOB"}, {}, 200),
    ("GET", "/api/jobs/{job_id}", {"job_id": "x"}, {}, 404),
    ("DELETE", "/api/jobs/{job_id}", {"job_id": "JOB"}, {}, 200),
    ("GET", "/api/jobs/{job_id}/events", {"job_id": "JOB"}, {}, 200),
    ("GET", "/api/jobs/{job_id}/events", {"job_id": "x"}, {}, 404),
    ("GET", "/api/jobs/{job_id}/result", {"job_id": "JOB"}, {}, 200),
    ("GET", "/api/jobs/{job_id}/result", {"job_id": "JOB"}, {"params": {"format": "jpeg"}}, 200),
    ("GET", "/api/jobs/{job_id}/result", {"job_id": "JOB"}, {"params": {"format": "gif"}}, 422),
    ("GET", "/api/jobs/{job_id}/result", {"job_id": "FAILED"}, {}, 409),
    ("GET", "/api/batch/{batch_id}", {"batch_id": "x"}, {}, 404),
    ("GET", "/api/batch/{batch_id}", {"batch_id": "BATCH"}, {}, 200),
    ("GET", "/api/batch/{batch_id}/events", {"batch_id": "BATCH"}, {}, 200),
    ("GET", "/api/batch/{batch_id}/result", {"batch_id": "BATCH"}, {}, 200),
    ("DELETE", "/api/batch/{batch_id}", {"batch_id": "BATCH"}, {}, 200),
    ("POST", "/api/jobs", {}, {"json": {}}, 415),
    ("POST", "/api/jobs", {}, {"files": {"image": ("a", b"")}}, 422),
    ("POST", "/api/jobs", {}, {"content": bytes(200_000)}, 413),
    ("POST", "/api/batch", {}, {"files": {"images": ("a", b"no")}, "data": {"style": "0"}}, 422),
    ("POST", "/api/preview", {}, {"files": {"image": ("a.png", png())}}, 200),
    ("POST", "/api/preview", {}, {"files": {"image": ("a.png", b"x")}}, 422),
    ("POST", "/api/preview", {}, {"headers": {"Host": "evil.example"}}, 421),
    ("POST", "/api/preview", {}, {"headers": {"Origin": "http://evil.example"}}, 403),
]


@pytest.mark.parametrize(("method", "path", "names", "options", "status"), CALLS)
def test_every_answer_is_described(
    client: TestClient,
    method: str,
    path: str,
    names: dict[str, str],
    options: dict[str, Any],
    status: int,
) -> None:
    batch = client.post("/api/batch", files={"images": ("a.png", png())}, data={"style": "durer"})
    known = {"BATCH": batch.json()["id"], "JOB": batch.json()["jobs"][0]["id"]}
    finished(client, known["JOB"])
    known["FAILED"] = post(client, repulsion="9").json()["id"]
    finished(client, known["FAILED"])
    url = path.format(**{name: known.get(value, value) for name, value in names.items()})
    answer = client.request(method, url, **options)
    assert answer.status_code == status, answer.text
    described = entries(client, method, path)
    assert str(status) in described, f"{status} of {sorted(described)}"
    kind = answer.headers["content-type"].partition(";")[0]
    content = described[str(status)]["content"]
    assert kind in content
    if status >= 400:
        assert set(answer.json()) == {"detail", "code"}
        assert content[kind]["schema"] == {"$ref": "#/components/schemas/Refusal"}


def test_states_are_described(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    job = post(client).json()
    assert set(job) == set(schemas["JobState"]["properties"])
    batch = client.post("/api/batch", files={"images": ("a.png", png())}, data={"style": "0"})
    assert set(batch.json()) == set(schemas["BatchState"]["properties"])
    assert "HTTPValidationError" not in json.dumps(client.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize("text", ["[" * 16000, '{"a":' * 3000, "1" * 16000, '{"monet": 1e999}'])
def test_a_nested_or_huge_blend_is_refused(client: TestClient, text: str) -> None:
    files = {"image": ("a.png", png())}
    answer = client.post("/api/jobs", files=files, data={"blend": text})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_settings")


def test_a_call_of_another_kind_says_which_are_allowed(client: TestClient) -> None:
    answer = client.put("/api/jobs")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST"
    assert set(answer.json()) == {"detail", "code"}
