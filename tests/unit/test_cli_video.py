"""`lgt transfer` of videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from toys import run_lgt, write_model

pytest.importorskip("av", reason="the extra `video` is not installed")

from clips import read_clip, scene, write_clip


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model and a clip."""
    monkeypatch.chdir(tmp_path)
    write_model(Path("checkpoints/latest.pt"))
    write_clip(Path("in.mp4"), scene(4, 48, 32), audio="aac")
    return tmp_path


def transfer(*arguments: object) -> Result:
    return run_lgt("transfer", "in.mp4", *arguments)


def test_a_video_is_painted_and_described() -> None:
    result = transfer("out.mp4", "--style", "paint", "--strength", "0.5", "--crf", "1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("out.mp4: 48 x 32, 4 frames, 0.16 s long, style paint, ")
    assert read_clip(Path("out.mp4"))[2] == ["aac"]


def test_options_of_videos_count() -> None:
    Image.new("L", (4, 4)).save("black.png")
    black = ("--mask", "black.png", "--mask_feather", "2")
    assert transfer("a.mp4", "--style", "paint", "--crf", "1", *black).exit_code == 0
    assert transfer("b.mp4", "--style", "paint", "--crf", "1").exit_code == 0
    assert transfer("c.mp4", "--style", "paint", "--crf", "45").exit_code == 0
    off = transfer("d.mp4", "--style", "paint", "--crf", "1", "--smooth", "0")
    assert off.exit_code == 0
    mixed = transfer("e.webm", "--blend", "paint:0.5,photo:0.5", "--max_side", "24")
    assert "e.webm: 24 x 16, 4 frames, " in mixed.stdout
    assert "style photo 0.5 + paint 0.5" in mixed.stdout or "paint 0.5 + photo 0.5" in mixed.stdout
    first = {name: read_clip(Path(f"{name}.mp4"))[0][-1].astype(int) for name in "abcd"}
    source = read_clip(Path("in.mp4"))[0][-1]
    assert abs(first["a"] - source).mean() < 3 < abs(first["b"] - source).mean()
    assert abs(first["b"] - first["d"]).mean() > 0.2
    assert Path("c.mp4").stat().st_size < Path("b.mp4").stat().st_size


def test_a_folder_gets_a_file_named_by_style(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = transfer("out", "--style", "paint")
    assert result.stdout.startswith("out/in_paint.mp4: ")
    assert Path("out/in_paint.mp4").is_file()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("out.png", "--style", "paint"), "a video can not be written as '.png'"),
        (
            ("out.mp4", "--style", "all"),
            "several styles give several pictures; OUT must be a folder",
        ),
        (("out.mp4", "--interpolate", "paint,photo"), "--interpolate is for pictures"),
        (("out.mp4", "--style", "pant"), "did you mean 'paint'"),
        (("out.mp4", "--style", "paint", "--mask", "none.png"), "no such file"),
    ],
)
def test_refused(arguments: tuple[str, ...], problem: str) -> None:
    result = transfer(*arguments)
    assert result.exit_code == 2
    assert problem in result.stderr.replace("\n", " ")
    assert not Path("out.mp4").exists()


def test_options_of_videos_are_refused_for_pictures() -> None:
    Image.new("RGB", (16, 16)).save("in.png")
    result = run_lgt("transfer", "in.png", "out.png", "--style", "paint", "--smooth", "0.5")
    assert result.exit_code == 2
    assert "--smooth and --crf are for videos" in result.stderr.replace("\n", " ")


def test_a_gif_is_a_picture_where_one_is_asked_for() -> None:
    frames = [Image.fromarray(f) for f in scene(3, 20, 20)]
    frames[0].save("in.gif", save_all=True, append_images=frames[1:], duration=40)
    assert run_lgt("transfer", "in.gif", "out.png", "--style", "paint").exit_code == 0
    assert Image.open("out.png").size == (20, 20)
    result = run_lgt("transfer", "in.gif", "out.gif", "--style", "paint")
    assert "out.gif: 20 x 20, 3 frames, 0.12 s long" in result.stdout
    assert Image.open("out.gif").n_frames == 3


def test_json_describes_a_video() -> None:
    result = transfer("out.mp4", "--style", "paint", "--json")
    values = json.loads(result.stdout)
    assert (values["output"], values["size"], values["frames"]) == ("out.mp4", [48, 32], 4)
    failed = transfer("out.png", "--style", "paint", "--json")
    assert failed.exit_code == 2
    assert "can not be written as '.png'" in json.loads(failed.stdout)["error"]
