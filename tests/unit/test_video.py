"""`transfer_video`: frames, times, sound, going on, and what is refused."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import write_model

pytest.importorskip("av", reason="the extra `video` is not installed")

from clips import audio_bytes, read_clip, scene, write_clip

from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.paint.torch_engine import TorchEngine
from lgt.video import VideoProgress, is_video_job, painting, transfer_video
from lgt.video.read import open_clip
from lgt.video.work import WorkFolder
from lgt.video.write_animation import _whole

SIZE = (48, 32)


@pytest.fixture(scope="module")
def lgt(tmp_path_factory: pytest.TempPathFactory) -> LGTInference:
    return LGTInference(write_model(tmp_path_factory.mktemp("model") / "toy.pt"), device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a clip with sound, and one of odd size as a GIF."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "in.mp4", scene(10, *SIZE), audio="aac")
    frames = [Image.fromarray(f) for f in scene(6, 37, 21, noise=0)]
    durations = [30, 50, 100, 40, 200, 60]
    frames[0].save(
        folder / "in.gif", save_all=True, append_images=frames[1:], duration=durations, loop=2
    )
    return folder


def paint(lgt: LGTInference, source: Path, output: Path, **options: Any) -> list[np.ndarray]:
    transfer_video(source, output, "paint", lgt=lgt, **options)
    return read_clip(output)[0]


def distance(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    pairs = zip(first, second, strict=True)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


def test_a_video_keeps_its_frames_size_times_and_sound(
    lgt: LGTInference, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "out.mp4"
    reports: list[VideoProgress] = []
    result = transfer_video(folder / "in.mp4", output, "paint", lgt=lgt, progress=reports.append)
    frames, times, audio = read_clip(output)
    assert (result.num_frames, result.size, result.notes) == (10, SIZE, ())
    assert len(frames) == 10
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    assert times == pytest.approx([i / 25 for i in range(10)])
    assert audio == ["aac"]
    assert audio_bytes(output) == audio_bytes(folder / "in.mp4"), "the sound is copied"
    assert result.seconds == pytest.approx(0.4)
    assert (reports[-1].done, reports[-1].total, reports[-1].skipped) == (10, 10, 0)
    assert not list(output.parent.glob("*part")), "the work folder is gone"
    assert distance(frames, read_clip(folder / "in.mp4")[0]) > 5


@pytest.mark.parametrize(("suffix", "audio"), [(".webm", "opus"), (".mkv", "aac"), (".mov", "aac")])
def test_other_containers(
    lgt: LGTInference, folder: Path, tmp_path: Path, suffix: str, audio: str
) -> None:
    result = transfer_video(folder / "in.mp4", tmp_path / f"a{suffix}", "paint", lgt=lgt)
    frames, times, found = read_clip(tmp_path / f"a{suffix}")
    assert found == [audio]
    assert len(frames) == 10
    assert times == pytest.approx([i / 25 for i in range(10)], abs=2e-3)
    assert any("became libopus" in note for note in result.notes) == (suffix == ".webm")


def test_strength_zero_gives_the_source_back(
    lgt: LGTInference, folder: Path, tmp_path: Path
) -> None:
    source = read_clip(folder / "in.mp4")[0]
    copy = paint(lgt, folder / "in.mp4", tmp_path / "a.mp4", strength=0, crf=0)
    half = paint(lgt, folder / "in.mp4", tmp_path / "b.mp4", strength=0.5)
    full = paint(lgt, folder / "in.mp4", tmp_path / "c.mp4")
    assert distance(copy, source) < 2.5
    assert distance(copy, source) < distance(half, source) < distance(full, source)


def test_controls_change_what_they_say(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    source, path = read_clip(folder / "in.mp4")[0], folder / "in.mp4"
    plain = paint(lgt, path, tmp_path / "a.mp4", crf=1)
    colored = paint(lgt, path, tmp_path / "b.mp4", crf=1, preserve_color=True)

    def chroma(frames: list[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(Image.fromarray(f).convert("YCbCr"))[..., 1:] for f in frames]

    assert distance(chroma(colored), chroma(source)) < 0.5 * distance(chroma(plain), chroma(source))
    mask = Image.new("L", (2, 1))
    mask.putpixel((0, 0), 255)
    masked = paint(lgt, path, tmp_path / "c.mp4", crf=1, mask=mask.resize(SIZE, 0))
    right = [f[:, 26:] for f in masked]
    assert distance(right, [f[:, 26:] for f in source]) < 2.5, "black stays the source"
    assert distance([f[:, :22] for f in masked], [f[:, :22] for f in plain]) < 2.5
    small = transfer_video(path, tmp_path / "d.mp4", "paint", lgt=lgt, max_side=31)
    assert small.size == (30, 20), "a smaller video gets even sides"
    coarse = paint(lgt, path, tmp_path / "e.mp4", crf=1, style_scale=2)
    assert distance(coarse, plain) > 1
    blend = {"paint": 0.5, "photo": 0.5}
    transfer_video(path, tmp_path / "f.mp4", blend, lgt=lgt)
    assert distance(read_clip(tmp_path / "f.mp4")[0], plain) > 1


def test_regions_lie_over_the_source(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    source, path = read_clip(folder / "in.mp4")[0], folder / "in.mp4"
    mask = Image.new("L", SIZE)
    mask.paste(255, (0, 0, SIZE[0] // 2, SIZE[1]))
    transfer_video(path, tmp_path / "a.mp4", None, lgt=lgt, regions=[(mask, "paint")], crf=1)
    frames = read_clip(tmp_path / "a.mp4")[0]
    assert distance([f[:, 26:] for f in frames], [f[:, 26:] for f in source]) < 2.5
    assert distance([f[:, :22] for f in frames], [f[:, :22] for f in source]) > 5
    with pytest.raises(InputError, match="needs a style"):
        transfer_video(path, tmp_path / "b.mp4", None, lgt=lgt)


def test_smoothing_and_one_noise_for_all_frames(tmp_path: Path) -> None:
    """Nothing moves in the clip but the sensor's noise, so every change is flicker."""
    rng = np.random.default_rng(0)
    still = scene(1, 48, 48, noise=0)[0]
    grainy = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255) for _ in range(6)]
    source = write_clip(tmp_path / "in.mp4", [f.astype(np.uint8) for f in grainy])
    model = write_model(tmp_path / "toy.pt")
    warm = LGTInference(model, device="cpu", temperature_lambda=0.5, num_steps=4)

    def flicker(**options: Any) -> float:
        frames = paint(warm, source, tmp_path / "a.mp4", crf=1, **options)
        return distance(frames[1:], frames[:-1])

    smoothed, plain, fresh = flicker(), flicker(smooth=0), flicker(smooth=0, seed=None)
    assert smoothed < 0.4 * plain
    assert plain < 0.8 * fresh
    one = paint(warm, source, tmp_path / "b.mp4", seed=1)
    two = paint(warm, source, tmp_path / "c.mp4", seed=2)
    assert distance(one, two) > 1


def test_variable_rate_is_kept(lgt: LGTInference, tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 45, 145, 645, 685)]
    source = write_clip(tmp_path / "in.mp4", scene(6, *SIZE), times=times)
    paint(lgt, source, tmp_path / "out.mp4")
    assert read_clip(tmp_path / "out.mp4")[1] == pytest.approx([float(t) for t in times])


def test_odd_sizes(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    result = transfer_video(folder / "in.gif", tmp_path / "a.mp4", "paint", lgt=lgt)
    assert result.size == (38, 22)
    assert "38 x 22 pixels instead of 37 x 21" in result.notes[0]
    frame = read_clip(tmp_path / "a.mp4")[0][0].astype(int)
    assert np.abs(frame[:, -1] - frame[:, -2]).mean() < 12, "the edge is repeated"
    exact = transfer_video(folder / "in.gif", tmp_path / "a.webm", "paint", lgt=lgt)
    assert exact.size == (37, 21)
    assert read_clip(tmp_path / "a.webm")[0][0].shape == (21, 37, 3)


def test_a_gif_keeps_its_durations(
    lgt: LGTInference, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # GIF to GIF works without it
    transfer_video(folder / "in.gif", tmp_path / "a.gif", "paint", lgt=lgt)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (37, 21)
        assert image.info["loop"] == 2
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [30, 50, 100, 40, 200, 60]
    with pytest.raises(InputError, match=r"pip install 'lgt\[video\]'"):
        transfer_video(folder / "in.gif", tmp_path / "a.mp4", "paint", lgt=lgt)


def test_a_video_becomes_a_gif_of_at_most_50_frames_a_second(
    lgt: LGTInference, tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "in.mp4", scene(12, *SIZE), rate=60, audio="aac")
    result = transfer_video(source, tmp_path / "out.gif", "paint", lgt=lgt)
    with Image.open(tmp_path / "out.gif") as image:
        assert image.n_frames == result.num_frames == 6
    assert result.seconds == pytest.approx(0.2, abs=0.02)
    assert ["no sound" in note for note in result.notes] == [True, False]
    assert "6 frames left out" in result.notes[1]


def test_durations_round_without_drift() -> None:
    assert _whole([Fraction(1, 30)] * 6, 10) == [30, 40, 30, 30, 40, 30]
    assert sum(_whole([Fraction(1, 24)] * 24, 10)) == 1000


def test_turned_videos_are_painted_upright(lgt: LGTInference, tmp_path: Path) -> None:
    frames = scene(3, *SIZE)
    source = write_clip(tmp_path / "in.mp4", frames, turn=90)
    result = transfer_video(source, tmp_path / "out.mp4", "paint", lgt=lgt, strength=0, crf=1)
    assert result.size == SIZE[::-1]
    upright = [np.rot90(f) for f in frames]
    assert distance(read_clip(tmp_path / "out.mp4")[0], upright) < 6


def test_colours_come_through(tmp_path: Path, lgt: LGTInference) -> None:
    frames = [np.full((32, 48, 3), (200, 60, 30), np.uint8)] * 2
    source = write_clip(tmp_path / "in.mp4", frames)
    again = paint(lgt, source, tmp_path / "out.mp4", strength=0)
    assert np.abs(read_clip(source)[0][0].mean((0, 1)) - (200, 60, 30)).max() < 3
    assert distance(again, read_clip(source)[0]) < 1


class StoppedError(Exception):
    """Stands for a kill."""


def test_a_stopped_run_goes_on(
    lgt: LGTInference, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "SEGMENT_FRAMES", 2)
    monkeypatch.setattr(TorchEngine, "batch_pixels", 2 * SIZE[0] * SIZE[1])
    path, output = folder / "in.mp4", tmp_path / "out.mp4"

    def stop(state: VideoProgress) -> None:
        if state.done >= 6:
            raise StoppedError

    with pytest.raises(StoppedError):
        transfer_video(path, output, "paint", lgt=lgt, progress=stop)
    part = tmp_path / "out.mp4.lgt-part"
    assert len(list(part.glob("segment-*"))) == 2
    assert not output.exists()
    (part / ".lgt-segment-000002.bin-0000.tmp").write_bytes(b"half")
    result = transfer_video(path, output, "paint", lgt=lgt)
    assert result.skipped == 4
    transfer_video(path, tmp_path / "whole.mp4", "paint", lgt=lgt)
    assert output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not part.exists()


def test_two_runs_do_not_share_a_folder(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="the system has no such locks")
    output = tmp_path / "out.mp4"
    work = WorkFolder(output, {})
    with pytest.raises(InputError, match="another run is at work"):
        transfer_video(folder / "in.mp4", output, "paint", lgt=lgt)
    work.close()
    assert transfer_video(folder / "in.mp4", output, "paint", lgt=lgt).num_frames == 10


def test_other_settings_start_anew(
    lgt: LGTInference, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "SEGMENT_FRAMES", 1)
    monkeypatch.setattr(TorchEngine, "batch_pixels", 1)
    path, output = folder / "in.mp4", tmp_path / "out.mp4"

    def stop(state: VideoProgress) -> None:
        if state.done >= 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        transfer_video(path, output, "paint", lgt=lgt, progress=stop)
    result = transfer_video(path, output, "paint", lgt=lgt, strength=0.5)
    assert result.skipped == 0
    assert "other settings" in result.notes[0]


def test_equal_frames_are_painted_once(
    lgt: LGTInference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.fromarray(f) for f in scene(2, 32, 32, noise=0)]
    held = [frames[0], frames[1], frames[1].copy(), frames[1].copy()]
    # A pixel of difference would be a change; the writer merges frames that are quite the same.
    held[0].save(tmp_path / "in.gif", save_all=True, append_images=held[1:], duration=50)
    count = 0
    move = TorchEngine.move

    def counted(engine: TorchEngine, x: Any, *args: Any) -> Any:
        nonlocal count
        count += len(x)
        return move(engine, x, *args)

    monkeypatch.setattr(TorchEngine, "move", counted)
    clip = open_clip(tmp_path / "in.gif")
    source = write_clip(tmp_path / "in.mkv", [f.pixels(None) for f in clip.frames()] * 1)
    transfer_video(source, tmp_path / "a.mp4", "paint", lgt=lgt)
    assert count == len(read_clip(source)[0])
    from lgt.paint.engine import Transport
    from lgt.video.paint import FramePainter, Layer
    from lgt.video.painting import Controls, TemporalFilter

    painter = FramePainter(
        TorchEngine(lgt, lgt.load_codec()),
        [Layer(Transport(style={1: 1.0}, sampler=lgt.sampler, seed=0, is_noise_shared=True))],
        Controls(),
        size=(32, 32),
        smoother=TemporalFilter(0.5),
    )
    count = 0
    pixels = [np.asarray(f) for f in held]
    shown = painter.paint(pixels[:3]) + painter.paint(pixels[3:])
    assert count == 2
    assert np.array_equal(shown[1], shown[3])


def test_bad_files(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    whole = (folder / "in.mp4").read_bytes()
    files = {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"hello", "not a video that can be read"),
        "half.mp4": (whole[: len(whole) // 2], "damaged, incomplete"),
        "bad.gif": (b"GIF89a123", "not a GIF"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    write_clip(tmp_path / "silent.mkv", [], audio="aac")
    write_clip(tmp_path / "song.mp4", [], audio="aac")
    gif = (folder / "in.gif").read_bytes()
    (tmp_path / "half.gif").write_bytes(gif[: len(gif) * 2 // 3])
    problems = {name: problem for name, (_, problem) in files.items()}
    problems |= {"silent.mkv": "holds no frames", "song.mp4": "holds no video .only audio"}
    problems |= {"missing.mp4": "no such file", "half.gif": "damaged after frame|not a GIF"}
    for name, problem in problems.items():
        with pytest.raises(InputError, match=problem) as caught:
            transfer_video(tmp_path / name, tmp_path / "out.mp4", "paint", lgt=lgt)
        assert name in str(caught.value)
        assert not (tmp_path / "out.mp4").exists()


def test_a_file_that_ends_early_is_named(lgt: LGTInference, folder: Path, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "whole.mkv", scene(40, *SIZE))
    data = source.read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    result = transfer_video(tmp_path / "half.mkv", tmp_path / "a.mp4", "paint", lgt=lgt)
    assert 5 < result.num_frames < 35
    assert "is the file complete?" in result.notes[-1]


@pytest.mark.parametrize(
    ("output", "options", "problem"),
    [
        ("a.png", {}, "can not be written as '.png'"),
        ("a.mp4", {"smooth": 1.0}, "smooth must be 0"),
        ("a.mp4", {"crf": 64}, "crf must be 0"),
        ("a.mp4", {"strenght": 1.0}, "unknown control strenght"),
        ("a.mp4", {"strength": 2.0}, "strength must be 0 to 1"),
        ("in.mp4", {}, "is what is read"),
    ],
)
def test_bad_arguments(
    lgt: LGTInference, folder: Path, tmp_path: Path, output: str, options: Any, problem: str
) -> None:
    target = folder / output if output == "in.mp4" else tmp_path / output
    with pytest.raises(InputError, match=problem):
        transfer_video(folder / "in.mp4", target, "paint", lgt=lgt, **options)


def test_which_files_are_videos() -> None:
    pairs = {
        ("a.mp4", "b.mp4"): True,
        ("a.MOV", "b.png"): True,
        ("a.gif", "b.gif"): True,
        ("a.gif", "b.webm"): True,
        ("a.gif", "b.png"): False,
        ("a.png", "b.gif"): False,
    }
    for (source, output), is_video in pairs.items():
        assert is_video_job(Path(source), Path(output)) == is_video
