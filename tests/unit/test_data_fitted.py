"""`lgt config init --raw_data_root`: a recipe for the user's own folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from toys import run_lgt

from lgt.config import load_config
from lgt.config.presets import preset


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, sides in (("photo", (100, 120)), ("ink", (600, 640, 300)), ("oil", (700, 560, 900))):
        folder = Path("raw", name)
        folder.mkdir(parents=True)
        for index, side in enumerate(sides):
            Image.new("RGB", (side + 50, side)).save(folder / f"{index}.png")
    (Path("raw") / ".hidden").mkdir()
    return Path("raw")


def init(*arguments: str) -> str:
    result = run_lgt("config", "init", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_styles_and_size_are_those_of_the_folders(works: Path) -> None:
    said = init("--raw_data_root", str(works))
    found, large = load_config(Path("config.json")), preset("large")
    assert found.data.style_subdirs == ("photo", "ink", "oil")
    assert found.data.source_subdirs == ("photo",) and found.model.num_styles == 3
    assert found.loss.works_root == "raw" and found.loss.feature_crop == 32
    assert found.training.target_shares == {"photo": large.training.target_shares["photo"]}
    assert found.loss.critic_gain == large.loss.critic_gain > 0
    assert "short side of 620 pixels" in said
    assert "lgt preprocess --raw_data_root raw --output_root data/latents --target_size 512" in said
    assert "lgt train --config config.json" in said and "pip install 'lgt[train]'" in said
    assert "lgt polish checkpoints/latest.pt polished.pt --photos" in said


def test_small_works_are_not_enlarged(works: Path) -> None:
    for path in works.glob("*/*.png"):
        Image.new("RGB", (300, 280)).save(path)
    assert "--target_size 256" in init("--raw_data_root", str(works))
    assert load_config(Path("config.json")).loss.feature_crop == 16


def test_a_preset_is_kept_where_one_is_named(works: Path) -> None:
    said = init("mine.json", "--raw_data_root", str(works), "--preset", "plain", "--photos", "ink")
    assert "metrics" not in said
    found = load_config(Path("mine.json"))
    assert found.loss == preset("plain").loss
    assert found.data.style_subdirs == ("ink", "oil", "photo")
    assert found.training.target_shares == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw_data_root", "nowhere"], "raw_data_root: no such folder: nowhere"),
        (["--raw_data_root", "raw/ink"], "has no style folder, only 3 image(s) directly in it"),
        (
            ["--raw_data_root", "raw", "--photos", "x"],
            "no folder 'x' with pictures in raw (there are: ink, oil, photo)",
        ),
        (["--photos", "x"], "--photos: names a folder of --raw_data_root"),
    ],
)
def test_what_does_not_fit_is_said(works: Path, arguments: list[str], message: str) -> None:
    result = run_lgt("config", "init", *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert not Path("config.json").exists()


def test_a_style_without_pictures_is_said(works: Path) -> None:
    for path in Path("raw/oil").iterdir():
        path.unlink()
    result = run_lgt("config", "init", "--raw_data_root", str(works))
    assert result.exit_code == 2 and "raw/oil" in result.stderr


def test_works_that_can_not_be_read_are_said(works: Path) -> None:
    for name in ("ink", "oil"):
        for path in Path("raw", name).iterdir():
            path.write_bytes(b"no picture")
    result = run_lgt("config", "init", "--raw_data_root", str(works))
    assert result.exit_code == 2 and "none of the works in raw can be read" in result.stderr


def test_photos_alone_are_not_enough(works: Path) -> None:
    for name in ("ink", "oil"):
        shutil.rmtree(Path("raw", name))
    result = run_lgt("config", "init", "--raw_data_root", str(works))
    assert result.exit_code == 2 and "holds the photos alone (photo)" in result.stderr
