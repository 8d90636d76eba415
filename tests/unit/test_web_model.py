"""The HTTP API with the shipped model: every field changes the picture; added styles."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from web_client import finished, post

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt.added_styles import FOLDER_VARIABLE, AddedStyle, installed_path, thumbnail_of
from lgt.inference import LGTInference
from lgt.web.api import create_app
from lgt.web.settings import Settings
from lgt.web.stylist import ModelStylist


@pytest.fixture(scope="module")
def painter() -> ModelStylist:
    return ModelStylist("embedded", device="cpu")


def test_what_is_left_out_means_what_it_means_in_python(painter: ModelStylist) -> None:
    """The page and `LGTInference.stylize` paint the same picture from their defaults."""
    photo = Image.effect_noise((48, 32), 60).convert("RGB")
    page = painter.stylize(photo, Settings(style="monet"), None, lambda _: None)
    lgt = LGTInference(device="cpu")
    assert page.tobytes() == lgt.stylize(photo, "monet", codec=lgt.load_codec(), seed=0).tobytes()
    plain = lgt.stylize(photo, "monet", codec=lgt.load_codec(), seed=0, detail=0.0)
    assert page.tobytes() != plain.tobytes()


def test_every_field_changes_the_picture(painter: ModelStylist) -> None:
    """Through HTTP with the shipped model; a seed matters once there is noise."""
    noise = {"temperature_lambda": "0.3", "num_steps": "4"}
    buffer = io.BytesIO()
    Image.effect_noise((48, 32), 60).convert("RGB").save(buffer, "PNG")
    changes: list[dict[str, str]] = [
        {},
        {"strength": "0.5"},
        {"preserve_color": "true"},
        {"style_scale": "2"},
        {"detail": "0"},
        {"detail": "1"},
        {"repulsion": "1"},
        {"source_style": "photo"},
        {"num_steps": "4"},
        {"max_side": "32"},
        noise,
        noise | {"seed": "7"},
    ]
    with TestClient(create_app(painter, queue=20), base_url="http://localhost") as client:

        def paint(data: dict[str, str]) -> bytes:
            job = finished(client, post(client, buffer.getvalue(), **data).json()["id"], 30)
            assert job["state"] == "done", job
            return client.get(f"/api/jobs/{job['id']}/result").content

        pictures = [paint(data) for data in changes]
        assert len(set(pictures)) == len(changes)
        assert paint({}) == pictures[0] == paint({"seed": "7"}), "no noise is left behind"
        health = client.get("/api/health").json()
        assert health["is_random"] is False and health["defaults"]["detail"] == 0.5
        assert paint({"detail": "0.5"}) == pictures[0]
        assert Image.open(io.BytesIO(pictures[9])).size == (32, 21)


def test_added_styles_are_listed_with_their_picture_and_painted(
    painter: ModelStylist, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    lgt = LGTInference(device="cpu")
    with TestClient(create_app(painter), base_url="http://localhost") as client:
        assert not any(s["is_added"] for s in client.get("/api/styles").json()["styles"])
        length = lgt.network.style_dim + sum(a * b for a, b in lgt.network.offset_sizes)
        code = 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(0))
        picture = thumbnail_of(Image.new("RGB", (64, 48), "orange"))
        style = AddedStyle("mine", code, lgt.model_hash, 3, thumbnail=picture)
        style.save(installed_path("mine", lgt.model_hash))
        listed = client.get("/api/styles").json()["styles"]
        assert listed[-1]["name"] == "mine" and listed[-1]["is_added"]
        shown = client.get(listed[-1]["thumbnail"])
        assert shown.content == picture and shown.headers["content-type"] == "image/jpeg"
        pictures = []
        for name in ("mine", str(listed[-1]["id"]), "monet"):
            job = finished(client, post(client, style=name).json()["id"], 30)
            assert job["state"] == "done", job
            pictures.append(client.get(f"/api/jobs/{job['id']}/result").content)
        assert pictures[0] == pictures[1] != pictures[2]
        assert len(client.get("/api/styles").json()["styles"]) == len(listed)
