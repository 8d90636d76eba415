"""`lgt pack`, `lgt styles`, and `lgt transfer` with the shipped model or several styles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import config, run_lgt, write_model

from lgt.model.shipped import MODEL_FOLDER, thumbnail

LATEST = Path("checkpoints/latest.pt")
STYLES = ("photo", "paint", "draw")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a picture of 37 x 53 pixels and no checkpoints."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (53, 37, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("my cat.png")
    return tmp_path


def toy(path: Path = LATEST) -> Path:
    settings = config(model__num_styles=3, data__style_subdirs=list(STYLES))
    return write_model(path, settings)


def names_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


# --- pack ----------------------------------------------------------------------------------------


def test_pack_writes_a_model_that_transfers() -> None:
    toy()
    result = run_lgt("pack", LATEST, "new/model.safetensors")
    assert result.exit_code == 0, result.stderr
    size = Path("new/model.safetensors").stat().st_size / 1e6
    assert result.stdout.startswith(f"new/model.safetensors: {size:.2f} MB, ")
    assert "styles photo, paint, draw" in result.stdout
    arguments = ("a.png", "--style", "paint", "--model", "new/model.safetensors")
    assert run_lgt("transfer", "my cat.png", *arguments).exit_code == 0
    assert Image.open("a.png").size == (37, 53)


def test_pack_refuses() -> None:
    toy()
    Path("there.safetensors").write_text("mine")
    for arguments, text in (
        ((LATEST, "there.safetensors"), "exists; replace it with --overwrite"),
        ((LATEST, "a.pt"), "OUT must end in .safetensors (got '.pt')"),
        (("gone.pt", "a.safetensors"), "no such checkpoint: gone.pt"),
        (("my cat.png", "a.safetensors"), "can not be read as a checkpoint"),
        ((LATEST, "my cat.png/a.safetensors"), "can not be written"),
    ):
        result = run_lgt("pack", *arguments)
        assert result.exit_code == 2, arguments
        assert text in result.stderr
        assert "Traceback" not in result.stderr
    assert Path("there.safetensors").read_text() == "mine"
    assert run_lgt("pack", LATEST, "there.safetensors", "--overwrite").exit_code == 0
    assert Path("there.safetensors").stat().st_size > 1000


def test_training_refuses_a_packed_model() -> None:
    write_model(LATEST)
    assert run_lgt("pack", LATEST, "model.safetensors").exit_code == 0
    result = run_lgt("train", "--resume_from", "model.safetensors")
    assert result.exit_code == 2
    assert "model.safetensors: holds no optimiser state" in result.stderr


# --- styles --------------------------------------------------------------------------------------


def test_styles_lists_the_shipped_model() -> None:
    result = run_lgt("styles")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["id  style", " 0  photo"]
    assert lines[-1] == f"pictures: {MODEL_FOLDER / 'thumbnails'}"
    assert "model: embedded" in result.stderr


def test_styles_lists_a_model_as_json() -> None:
    toy()
    result = run_lgt("styles", "--json")
    assert result.exit_code == 0, result.stderr
    listed = json.loads(result.stdout)
    assert listed["model"] == str(LATEST)
    assert [style["name"] for style in listed["styles"]] == list(STYLES)
    assert [style["id"] for style in listed["styles"]] == [0, 1, 2]
    assert {style["picture"] for style in listed["styles"]} == {None}
    shipped = json.loads(run_lgt("styles", "--json", "--model", "embedded").stdout)
    assert shipped["styles"][0]["picture"] == str(thumbnail("photo"))


def test_styles_are_listed_without_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose weights may lie on the hub."""
    monkeypatch.setattr("lgt.paint.transfer.load_codec", lambda *_, **__: pytest.fail("loaded"))
    toy()
    assert run_lgt("pack", LATEST, "packed.safetensors").exit_code == 0
    for model in (LATEST, "packed.safetensors", "embedded"):
        listed = run_lgt("styles", "--model", model)
        assert listed.exit_code == 0 and " 0  photo" in listed.stdout, listed.stderr


def test_styles_draws_a_sheet() -> None:
    assert run_lgt("styles", "--out", "shipped.png").exit_code == 0
    toy()
    assert run_lgt("styles", "--out", "mine.png").exit_code == 0
    width, height = Image.open(thumbnail("photo")).size
    shipped, mine = Image.open("shipped.png"), Image.open("mine.png")
    assert shipped.width > 4 * width
    assert shipped.height > 2 * height, "nine pictures, four in a row"
    assert mine.width > 4 * width, "the source and three styles in one row"
    assert height < mine.height < 2 * height
    result = run_lgt("styles", "--out", "sheet.xyz")
    assert result.exit_code == 2
    assert "can not tell the format" in result.stderr


# --- transfer ------------------------------------------------------------------------------------


def test_without_checkpoints_the_shipped_model_is_used() -> None:
    result = run_lgt("transfer", "my cat.png", "a.png", "--style", "vangogh")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[0] == "model: embedded"
    assert "style vangogh" in result.stdout
    assert Image.open("a.png").size == (37, 53)


def test_a_checkpoint_of_the_folder_comes_first() -> None:
    toy()
    result = run_lgt("transfer", "my cat.png", "a.png", "--style", "draw")
    assert result.exit_code == 0, result.stderr
    assert "model: checkpoints/latest.pt (`--model embedded`" in result.stderr
    shipped = ("--style", "vangogh", "--model", "embedded")
    assert run_lgt("transfer", "my cat.png", "b.png", *shipped).exit_code == 0
    changed = ("--style", "vangogh", "--model", "embedded", "--set", "inference.num_steps=2")
    assert run_lgt("transfer", "my cat.png", "c.png", *changed).exit_code == 0
    assert Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_all_styles_and_a_sheet() -> None:
    toy()
    result = run_lgt("transfer", "my cat.png", "out", "--style", "all")
    assert result.exit_code == 0, result.stderr
    assert names_in("out") == ["my cat_draw.png", "my cat_paint.png", "my cat_sheet.png"]
    assert result.stdout.count("37 x 53") == 2
    assert run_lgt("transfer", "my cat.png", "one.png", "--style", "draw").exit_code == 0
    assert Path("one.png").read_bytes() == Path("out/my cat_draw.png").read_bytes()
    sheet = Image.open("out/my cat_sheet.png").convert("RGB")
    assert sheet.width > 3 * 37
    source = np.asarray(Image.open("my cat.png"))
    assert np.array_equal(np.asarray(sheet)[24 : 24 + 53, 4 : 4 + 37], source), "first the source"


def test_a_list_of_styles_and_a_folder_for_one() -> None:
    toy()
    result = run_lgt("transfer", "my cat.png", "out", "--style", "draw, 0,draw")
    assert result.exit_code == 0, result.stderr
    assert names_in("out") == ["my cat_draw.png", "my cat_photo.png", "my cat_sheet.png"]
    assert run_lgt("transfer", "my cat.png", "out", "--style", "paint").exit_code == 0
    assert "my cat_paint.png" in names_in("out")
    own = run_lgt("transfer", "my cat.png", "b", "--style", "all", "--source_style", "draw")
    assert own.exit_code == 0, own.stderr
    assert names_in("b") == ["my cat_paint.png", "my cat_sheet.png"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.jpg", "--style", "all"], "OUT must be a folder, such as a/"),
        (["my cat.png", "--style", "paint,draw"], "OUT must be a folder"),
        (["out", "--style", "paint,drow"], "unknown style 'drow'; did you mean 'draw'?"),
        (["out", "--style", "paint,"], "unknown style ''"),
        (["out", "--style", "all", "--source_style", "7"], "style id 7: must be 0 to 2"),
    ],
)
def test_mistakes_write_nothing(arguments: list[str], text: str) -> None:
    toy()
    result = run_lgt("transfer", "my cat.png", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert names_in(".") == ["checkpoints", "my cat.png"]
