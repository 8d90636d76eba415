"""The HTTP API with the shipped model: every field changes the picture; added styles."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import run_lgt
from web_client import finished, post

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient

from lgt import __version__
from lgt.device import computes_in_bf16
from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.model.style_file import FOLDER_VARIABLE, AddedStyle, installed_path, thumbnail_of
from lgt.paint.provenance import read_provenance, short_sha256
from lgt.runtime.open import Wish, open_engine
from lgt.web.api import create_app
from lgt.web.settings import Settings
from lgt.web.stylist import ModelStylist


@pytest.fixture(scope="module")
def painter() -> ModelStylist:
    return ModelStylist("embedded", device="cpu")


def pixels(content: bytes) -> tuple[tuple[int, int], bytes]:
    """Return size and pixels of a picture's file."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size, picture.tobytes()


def test_what_is_left_out_means_what_it_means_in_python(painter: ModelStylist) -> None:
    """The page and `LGTInference.stylize` paint the same picture from their defaults."""
    photo = Image.effect_noise((48, 32), 60).convert("RGB")
    page = painter.stylize(photo.copy(), Settings(style="monet"), None, lambda _: None)
    lgt = LGTInference(device="cpu")
    python = lgt.stylize(photo, "monet", codec=lgt.load_codec(), seed=0)
    # Threads may add in another order; where the processor has bfloat16, the page computes in it.
    most = 8 if computes_in_bf16("cpu") else 1
    assert np.abs(np.asarray(page, np.int16) - np.asarray(python, np.int16)).max() <= most
    plain = lgt.stylize(photo, "monet", codec=lgt.load_codec(), seed=0, detail=0.5)
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
        {"detail": "0.5"},
        {"detail": "1"},
        {"repulsion": "1"},
        {"source_style": "photo"},
        {"num_steps": "4"},
        {"max_side": "32"},
        noise,
        noise | {"seed": "7"},
    ]
    with TestClient(create_app(painter, queue=20), base_url="http://localhost") as client:

        def paint(data: dict[str, str]) -> tuple[tuple[int, int], bytes]:
            job = finished(client, post(client, buffer.getvalue(), **data).json()["id"])
            assert job["state"] == "done", job
            return pixels(client.get(f"/api/jobs/{job['id']}/result").content)

        pictures = [paint(data) for data in changes]
        assert len(set(pictures)) == len(changes)
        assert paint({}) == pictures[0] == paint({"seed": "7"}), "no noise is left behind"
        health = client.get("/api/health").json()
        assert health["is_random"] is False
        assert paint({"detail": str(health["defaults"]["detail"])}) == pictures[0]
        assert pictures[9][0] == (32, 21)
        assert health["defaults"]["refine"] == 0 and paint({"refine": "2"}) not in pictures
        assert post(client, buffer.getvalue(), refine="41").status_code == 422


def test_a_downloaded_picture_says_how_it_was_made_and_is_made_again(
    painter: ModelStylist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blend with a mask, noise and most settings; and a photo with transparency."""
    monkeypatch.chdir(tmp_path)
    noise = Image.effect_noise((48, 32), 60).convert("RGB")
    noise.save("my photo.tif")
    noise.putalpha(Image.linear_gradient("L").resize(noise.size))
    noise.save("clear.png")
    mask = Image.linear_gradient("L").resize((24, 16))
    mask.save("mask.png")
    asked: dict[str, str] = {
        "style": "",
        "blend": '{"monet": 1, "2": 2}',
        "seed": "7",
        "strength": "0.8",
        "preserve_color": "true",
        "style_scale": "1.5",
        "source_style": "photo",
        "max_side": "40",
        "detail": "0.25",
        "color": "0.5",
        "repulsion": "0.5",
        "num_steps": "4",
        "temperature_lambda": "0.3",
    }
    name = painter.styles[2].name
    with TestClient(create_app(painter), base_url="http://localhost") as client:

        def paint(photo: str, mask: str | None, kind: str, data: dict[str, str]) -> bytes:
            files = {"image": (f"C:\\up\\{photo}", Path(photo).read_bytes())}
            if mask is not None:
                files["mask"] = (mask, Path(mask).read_bytes())
            job = client.post("/api/jobs", files=files, data={"style": "monet"} | data).json()
            assert finished(client, job["id"])["state"] == "done"
            return client.get(f"/api/jobs/{job['id']}/result", params={"format": kind}).content

        Path("all.png").write_bytes(paint("my photo.tif", "mask.png", "png", asked))
        Path("plain.jpg").write_bytes(paint("my photo.tif", None, "jpeg", {}))
        Path("clear_out.png").write_bytes(paint("clear.png", None, "png", {}))
    precision = open_engine(Wish()).facts.precision
    made = read_provenance(Path("all.png"))
    assert made is not None and made.style == {"monet": 1 / 3, name: 2 / 3} and made.seed == 7
    assert made.lgt_version == __version__ and made.model.name == "embedded"
    assert made.input.name == "my photo.tif"
    assert made.input.sha256 == short_sha256(Path("my photo.tif").read_bytes())
    assert made.masks["mask"].sha256 == short_sha256(Path("mask.png").read_bytes())
    assert made.settings == {
        "detail": 0.25,
        "color": 0.5,
        "canvas": 640,
        "strength": 0.8,
        "preserve_color": True,
        "style_scale": 1.5,
        "max_side": 40,
        "repulsion": 0.5,
        "source_style": "photo",
        "inference.num_steps": 4,
        "inference.temperature_lambda": 0.3,
        **({} if precision == "fp32" else {"precision": precision}),
    }
    shown = run_lgt("inspect", "all.png")
    assert "my photo.tif" in shown.stdout and made.model.sha256 in shown.stdout
    for picture in ("all.png", "plain.jpg", "clear_out.png"):
        again = f"again_{picture}"
        result = run_lgt("inspect", picture, "--replay", again)
        assert result.exit_code == 0 and "warning" not in result.stderr, result.stderr
        first, second = Image.open(picture), Image.open(again)
        assert first.mode == second.mode and first.tobytes() == second.tobytes()
        assert read_provenance(Path(again)) == read_provenance(Path(picture))
    assert Image.open("clear_out.png").mode == "RGBA"
    Path("my photo.tif").rename("elsewhere.tif")
    lost = run_lgt("inspect", "plain.jpg", "--replay", "b.png")
    assert lost.exit_code != 0 and "my photo.tif" in lost.stderr and "--input" in lost.stderr
    found = run_lgt("inspect", "plain.jpg", "--replay", "b.png", "--input", "elsewhere.tif")
    assert found.exit_code == 0 and "warning" not in found.stderr


def test_metadata_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lgt serve --no_metadata` makes such a stylist."""
    made: list[bool] = []

    def asked(*_: object, has_metadata: bool) -> None:
        made.append(has_metadata)
        raise InputError("enough seen")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lgt.web.stylist"], "ModelStylist", asked)
        for options in ((), ("--no_metadata",)):
            run_lgt("serve", "--port", "0", "--no-open", *options)
    assert made == [True, False]
    silent = ModelStylist("embedded", device="cpu", has_metadata=False)
    with TestClient(create_app(silent), base_url="http://localhost") as client:
        job = finished(client, post(client).json()["id"])
        for kind in ("png", "jpeg"):
            answer = client.get(f"/api/jobs/{job['id']}/result", params={"format": kind})
            assert read_provenance(io.BytesIO(answer.content)) is None


def test_added_styles_are_listed_with_their_picture_and_painted(
    painter: ModelStylist, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    lgt = LGTInference(device="cpu")
    with TestClient(create_app(painter), base_url="http://localhost") as client:
        assert not any(s["is_added"] for s in client.get("/api/styles").json()["styles"])
        length = lgt.network.style_dim + sum(a * b for a, b in lgt.network.offset_sizes)
        code = 0.1 * np.random.default_rng(0).standard_normal(length, np.float32)
        picture = thumbnail_of(Image.new("RGB", (64, 48), "orange"))
        style = AddedStyle("mine", code, lgt.model_hash, 3, thumbnail=picture)
        style.save(installed_path("mine", lgt.model_hash))
        listed = client.get("/api/styles").json()["styles"]
        assert listed[-1]["name"] == "mine" and listed[-1]["is_added"]
        shown = client.get(listed[-1]["thumbnail"])
        assert shown.content == picture and shown.headers["content-type"] == "image/jpeg"
        pictures = []
        for name in ("mine", str(listed[-1]["id"]), "monet"):
            job = finished(client, post(client, style=name).json()["id"])
            assert job["state"] == "done", job
            pictures.append(pixels(client.get(f"/api/jobs/{job['id']}/result").content))
        assert pictures[0] == pictures[1] != pictures[2]
        assert len(client.get("/api/styles").json()["styles"]) == len(listed)
