"""Pictures in added styles say which file they need, and are made again from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import config, run_lgt, write_model

from lgt import LGTInference
from lgt.batch import find_photos, plan_works, stylize_files
from lgt.model.style_file import FOLDER_VARIABLE, AddedStyle, installed_path
from lgt.paint.controls import Controls
from lgt.paint.painter import Painter
from lgt.paint.provenance import Provenance, read_provenance
from lgt.paint.recipe import Recipe
from lgt.paint.torch_engine import TorchEngine

MODEL = Path("checkpoints/latest.pt")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model, the style file `styles/mine.safetensors`, and a photo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "installed"))
    write_model(MODEL, config(inference__detail=0.25))
    save_style("mine")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 17, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("input.png")
    mask = Image.new("L", (17, 24))
    mask.paste(255, (0, 0, 8, 24))
    mask.save("left.png")
    return tmp_path


def save_style(name: str, seed: int = 0) -> Path:
    lgt = LGTInference(MODEL)
    length = lgt.network.style_dim + sum(a * b for a, b in lgt.network.offset_sizes)
    code = np.random.default_rng(seed).standard_normal(length, np.float32)
    path = Path("styles", f"{name}.safetensors")
    AddedStyle(name=name, code=code, model=lgt.model_hash, num_works=3).save(path)
    return path


def made_of(path: str | Path) -> Provenance:
    made = read_provenance(Path(path))
    assert made is not None
    return made


@pytest.mark.parametrize(
    "options",
    [
        "--style styles/mine.safetensors",
        "--blend styles/mine.safetensors:0.6,paint:0.3",
        "--style paint --region left.png:styles/mine.safetensors",
        "--style paint --source_style styles/mine.safetensors --repulsion 0.5",
    ],
)
def test_a_style_file_is_named_and_replayed(options: str) -> None:
    result = run_lgt("transfer", "input.png", "a.png", *options.split())
    assert result.exit_code == 0, result.stderr
    ((name, record),) = made_of("a.png").added_styles.items()
    assert (name, record.name) == ("mine", "mine.safetensors")
    assert f"mine.safetensors ({record.sha256})" in run_lgt("inspect", "a.png").stdout
    result = run_lgt("inspect", "a.png", "--replay", "b.png", "--styles", "styles")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_an_installed_style_is_found_and_a_lost_or_changed_one_told() -> None:
    source = Path("styles/mine.safetensors")
    installed = installed_path("mine", LGTInference(MODEL).model_hash)
    installed.parent.mkdir(parents=True)
    source.rename(installed)
    assert run_lgt("transfer", "input.png", "a.png", "--style", "mine").exit_code == 0
    assert run_lgt("inspect", "a.png", "--replay", "b.png").exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    installed.unlink()
    lost = run_lgt("inspect", "a.png", "--replay", "c.png")
    assert lost.exit_code == 2
    assert "mine.safetensors: no such style file in ., " in lost.stderr
    assert not Path("c.png").exists()
    save_style("mine", seed=1)
    changed = run_lgt("inspect", "a.png", "--replay", "c.png", "--styles", "styles")
    assert changed.exit_code == 0
    assert "warning: style mine was " in changed.stderr


def test_two_styles_of_one_name_keep_apart() -> None:
    other = save_style("twin", seed=2)
    mine = Path("styles/mine.safetensors")
    replace(AddedStyle.load(other), name="mine").save(other)
    blend = f"{mine}:0.5,{other}:0.5"
    assert run_lgt("transfer", "input.png", "a.png", "--blend", blend).exit_code == 0
    names = {name: file.name for name, file in made_of("a.png").added_styles.items()}
    assert names == {"mine": "mine.safetensors", "mine-2": "twin.safetensors"}
    result = run_lgt("inspect", "a.png", "--replay", "b.png", "--styles", "styles")
    assert result.exit_code == 0, result.stderr
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_many_files_are_skipped_until_the_style_changes() -> None:
    Path("photos").mkdir()
    Path("input.png").rename("photos/input.png")
    arguments = ("transfer", "photos", "out", "--style", "styles/mine.safetensors")
    assert "1 written, 0 already" in run_lgt(*arguments).stdout
    assert "0 written, 1 already" in run_lgt(*arguments).stdout
    save_style("mine", seed=1)
    assert "1 written, 0 already" in run_lgt(*arguments).stdout


def test_another_detail_is_other_work_and_none_is_the_models() -> None:
    Path("photos").mkdir()
    Path("input.png").rename("photos/input.png")

    def run(*options: str) -> str:
        plain = ("transfer", "photos", "out", "--style", "paint", "--precision", "fp32")
        return run_lgt(*plain, *options).stdout

    assert "1 written" in run()
    assert made_of("out/input_paint.png").settings == {"detail": 0.25, "color": 0.0, "canvas": 640}
    before = Path("out/input_paint.png").read_bytes()
    assert "0 written, 1 already" in run("--detail", "0.25")
    assert "1 written" in run("--detail", "0")
    assert made_of("out/input_paint.png").settings == {"detail": 0.0, "color": 0.0, "canvas": 640}
    assert Path("out/input_paint.png").read_bytes() != before
    assert "1 written" in run("--set", "inference.detail=0.7")
    assert made_of("out/input_paint.png").settings == {
        "detail": 0.7,
        "color": 0.0,
        "canvas": 640,
        "inference.detail": 0.7,
    }


def test_recipes_in_python_follow_stylize() -> None:
    lgt = LGTInference(MODEL)
    painter = Painter(TorchEngine(lgt, lgt.load_codec()))
    photo = Image.open("input.png")
    for detail in (None, 0.0, 1.0):
        recipe = Recipe(style={"paint": 1.0}, controls=Controls(detail=detail))
        expected = lgt.stylize(photo, "paint", codec=painter.engine.codec, seed=0, detail=detail)
        assert np.array_equal(painter.paint(photo, recipe), expected)
    recipes = {"mine": Recipe(style={"styles/mine.safetensors": 2.0})}
    works = plan_works(find_photos([Path("input.png")]), {"mine": "mine"}, Path("out"))
    (result,) = stylize_files(painter, works, recipes)
    assert result.problem is None
    assert made_of(result.output).style == {"mine": 2.0}
    assert set(made_of(result.output).added_styles) == {"mine"}
