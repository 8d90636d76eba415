"""Videos say how they were made, are made again, and are taken along among many files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from toys import run_lgt, write_model

pytest.importorskip("av", reason="the extra `video` is not installed")

from clips import read_clip, scene, write_clip

from lgt.image import save_image
from lgt.paint.provenance import Provenance, VideoRecord, file_sha256, read_provenance
from lgt.paint.torch_engine import TorchEngine
from lgt.video import painting


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model and a folder of a picture, a clip and GIFs."""
    monkeypatch.chdir(tmp_path)
    write_model(Path("checkpoints/latest.pt"))
    Path("in").mkdir()
    write_clip(Path("in/a.mp4"), scene(4, 32, 24))
    Image.new("RGB", (16, 16), "teal").save("in/a.png")
    gif(Path("in/b.gif"), 3)
    gif(Path("in/still.gif"), 1)
    for path in Path("in").iterdir():
        os.utime(path, (1e9, 1e9))
    return tmp_path


def gif(path: Path, num_frames: int) -> None:
    frames = [Image.fromarray(f) for f in scene(num_frames, 20, 20)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def transfer(*arguments: object) -> Result:
    return run_lgt("transfer", *arguments, "--style", "paint")


def made_of(path: str) -> Provenance:
    made = read_provenance(Path(path))
    assert made is not None
    return made


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "m4v", "mov", "mkv", "webm", "gif"])
def test_every_format_carries_it(suffix: str) -> None:
    name = f"out.{suffix}"
    assert transfer("in/a.mp4", name, "--crf", 30, "--strength", 0.5).exit_code == 0
    made = made_of(name)
    assert (made.input.name, made.input.sha256) == ("a.mp4", file_sha256(Path("in/a.mp4")))
    assert (made.style, made.settings["strength"]) == ({"paint": 1.0}, 0.5)
    assert made.video == VideoRecord(smooth=painting.SMOOTH, crf=30)
    rows = dict(line.split(maxsplit=1) for line in run_lgt("inspect", name).stdout.splitlines())
    assert (rows["style"], rows["smooth"], rows["crf"]) == ("paint", "0.85", "30")
    assert json.loads(run_lgt("inspect", name, "--json").stdout) == json.loads(made.to_json())


def test_no_metadata_leaves_it_out() -> None:
    for name in ("out.mp4", "out.gif"):
        assert transfer("in/a.mp4", name, "--no_metadata").exit_code == 0
        assert read_provenance(Path(name)) is None
    assert "does not say how it was made" in run_lgt("inspect", "out.mp4").stderr


def test_a_gif_says_it_without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    save_image(Image.new("RGB", (8, 8)), "picture.gif", text='{"lgt":"0"}')
    monkeypatch.setitem(sys.modules, "av", None)
    assert transfer("in/b.gif", "out.gif").exit_code == 0
    assert made_of("out.gif").video == VideoRecord(smooth=painting.SMOOTH)
    assert Image.open("picture.gif").info["comment"] == b'{"lgt":"0"}'
    assert "pip install 'lgt[video]'" in run_lgt("inspect", "in/a.mp4").stderr.replace("\n", " ")


def test_a_video_that_was_stopped_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "SEGMENT_FRAMES", 1)
    monkeypatch.setattr(TorchEngine, "batch_pixels", 1)
    write = painting.write_segment
    calls: list[int] = []

    def stopped(*arguments: object, **options: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(painting, "write_segment", stopped)
    result = transfer("in", "out")
    assert result.exit_code == 130
    assert "run the same command again to go on" in result.stderr
    assert names("out") == ["a_paint.mp4.lgt-part", "a_paint.png", "still_paint.png"]
    result = transfer("in", "out")
    assert "4 frames, 2 of them by an earlier run" in result.stdout
    assert "out: 2 written, 2 already there" in result.stdout
    assert transfer("in/a.mp4", "whole.mp4").exit_code == 0
    assert made_of("out/a_paint.mp4") == made_of("whole.mp4")
    assert Path("out/a_paint.mp4").read_bytes() == Path("whole.mp4").read_bytes()


def test_a_replay_is_the_same_video() -> None:
    Image.linear_gradient("L").save("in/mask.png")
    options = ("--mask", "in/mask.png", "--mask_feather", 1, "--smooth", 0.5, "--crf", 5)
    assert transfer("in/a.mp4", "in/out.mp4", *options).exit_code == 0
    result = run_lgt("inspect", "in/out.mp4", "--replay", "again.mp4")
    assert result.exit_code == 0, result.stderr
    assert "warning" not in result.stderr
    assert "again.mp4: 32 x 24, 4 frames, made as out.mp4 was" in result.stdout
    again, first = (read_clip(Path(name))[0] for name in ("again.mp4", "in/out.mp4"))
    # Not to the byte: with several threads the file differed in some runs, by a few levels.
    apart = np.abs(np.array(again, int) - np.array(first, int))
    assert apart.mean() < 3 and apart.max() <= 16
    other = run_lgt("inspect", "in/out.mp4", "--replay", "c.mp4", "--input", "in/b.gif", "--json")
    assert "this file is" in other.stderr
    assert json.loads(other.stdout) == {"output": "c.mp4", "size": [20, 20], "frames": 3}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("in/out.mp4", "--replay", "a.png"), "a video can not be written as '.png'"),
        (("in/out.mp4", "--replay", "a.mp4", "--device", "onnx"), "does not take --codec"),
        (("out.mp4", "--replay", "a.mp4"), "a.mp4: no such file in ., "),
        (("text.mp4",), "not a video that can be read"),
        (("gone.mp4",), "no such file"),
    ],
)
def test_mistakes_of_inspect(arguments: tuple[str, ...], problem: str) -> None:
    Path("text.mp4").write_text("hello")
    assert transfer("in/a.mp4", "in/out.mp4").exit_code == 0
    Path("out.mp4").write_bytes(Path("in/out.mp4").read_bytes())
    result = run_lgt("inspect", *arguments)
    assert result.exit_code == 2
    assert problem.removesuffix("., ") in result.stderr.replace("\n", " ")
    assert not Path("a.mp4").exists()


def test_videos_are_painted_with_pictures_and_skipped_when_done() -> None:
    Path("in/code.ts").write_text("export {}")
    result = transfer("in", "out")
    assert result.exit_code == 0, result.stderr
    expected = ["a_paint.mp4", "a_paint.png", "b_paint.gif", "still_paint.png"]
    assert names("out") == expected
    assert result.stdout.splitlines()[-1] == "out: 4 written, 0 already there"
    assert "out/a_paint.mp4: 32 x 24, 4 frames, 0.16 s long, style paint, " in result.stdout
    assert transfer("in/a.mp4", "one.mp4").exit_code == 0
    assert made_of("one.mp4") == made_of("out/a_paint.mp4")
    assert "0 written, 4 already there" in transfer("in", "out").stdout
    assert "2 written, 2 already there" in transfer("in", "out", "--smooth", 0).stdout
    os.utime("in/a.mp4")
    os.utime("out/a_paint.mp4", (1.1e9, 1.1e9))
    assert "1 written, 3 already there" in transfer("in", "out", "--smooth", 0).stdout
    assert "4 written" in transfer("in", "out", "--smooth", 0, "--overwrite").stdout
    assert "4 written" in transfer("in", "out", "--no_metadata").stdout
    assert "4 written" in transfer("in", "out").stdout


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (("in/a.mp4", "in/b.gif"), ["a_paint.mp4", "b_paint.gif"]),
        (("in/*.mp4",), ["a_paint.mp4"]),
        (("in/a.mp4", "in/c.avi"), ["a_paint.mp4", "c_paint.mp4"]),
    ],
)
def test_several_videos(inputs: tuple[str, ...], expected: list[str]) -> None:
    if "in/c.avi" in inputs:
        write_clip(Path("in/c.avi"), scene(2, 32, 24))
    result = transfer(*inputs, "out", "--crf", 40)
    assert result.exit_code == 0, result.stderr
    assert names("out") == expected
    assert made_of(f"out/{expected[0]}").video == VideoRecord(smooth=painting.SMOOTH, crf=40)


def test_equal_names_get_results_of_their_own() -> None:
    write_clip(Path("in/a.avi"), scene(2, 32, 24))
    assert transfer("in/a.avi", "in/a.mp4", "in/a.png", "out").exit_code == 0
    assert names("out") == ["a.avi_paint.mp4", "a.mp4_paint.mp4", "a_paint.png"]


def test_several_styles_of_a_video() -> None:
    result = run_lgt("transfer", "in/a.mp4", "out", "--style", "paint,photo")
    assert result.exit_code == 0, result.stderr
    assert names("out") == ["a_paint.mp4", "a_photo.mp4"]
    first, second = (read_clip(Path("out", name))[0][0] for name in names("out"))
    assert (first != second).any()


def test_a_folder_keeps_the_suffix_of_a_single_video() -> None:
    Path("out").mkdir()
    write_clip(Path("c.mkv"), scene(2, 32, 24))
    for name in ("c.mkv", "in/b.gif", "in/still.gif"):
        assert transfer(name, "out").exit_code == 0
    assert names("out") == ["b_paint.gif", "c_paint.mkv", "still_paint.png"]


def test_a_broken_video_does_not_stop_the_others() -> None:
    Path("in/_.mp4").write_text("hello")
    result = transfer("in", "out", "--json")
    assert result.exit_code == 1
    assert len(names("out")) == 4
    assert "1 file(s) could not be painted:" in result.stderr
    assert "  - in/_.mp4: not a video that can be read" in result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["input"]).name for line in lines] == [
        "a.png",
        "still.gif",
        "_.mp4",
        "a.mp4",
        "b.gif",
    ]
    assert "not a video" in lines[2]["error"]
    assert (lines[3]["frames"], lines[3]["skipped_frames"]) == (4, 0)
    again = [json.loads(line) for line in transfer("in", "out", "--json").stdout.splitlines()]
    assert [line.get("skipped", False) for line in again] == [True, True, False, True, True]


def test_without_pyav_a_folder_gives_its_pictures_and_gifs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    result = transfer("in", "out")
    assert result.exit_code == 0, result.stderr
    assert names("out") == ["a_paint.png", "b_paint.gif", "still_paint.png"]
    assert "1 video(s) left out; PyAV reads them" in result.stderr
    for inputs in (("in/a.mp4", "in/b.gif"), ("in/*.mp4",)):
        result = transfer(*inputs, "out")
        assert result.exit_code == 2
        assert "videos need PyAV" in result.stderr


def test_options_of_videos_need_a_video() -> None:
    result = transfer("in/a.png", "in/still.gif", "out", "--crf", 20)
    assert result.exit_code == 2
    assert "--smooth and --crf are for videos" in result.stderr.replace("\n", " ")
