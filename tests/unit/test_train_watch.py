"""What a run leaves: report, record, previews, TensorBoard; and that none of it can stop a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from toys import Recorder, config, dataset, run_lgt, trainer, write_config, write_latents

import lgt.train.samples as samples
import lgt.train.watch as watch
from lgt.errors import InputError, TrainingError
from lgt.report.history import read_history
from lgt.train import Checkpoint


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photos(*names: str) -> str:
    Path("photos").mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", (90, 70), (60 * index, 120, 40)).save(Path("photos") / name)
    return "photos"


def record() -> dict[str, Any]:
    (path,) = Path("checkpoints/logs").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_run_leaves_a_report_with_its_pictures() -> None:
    settings = config(checkpoint__num_samples=1, checkpoint__preview_dir=photos("a.png", "b.jpg"))
    trainer(settings).run()
    page = Path("checkpoints/report.html").read_text()
    assert "6 of 6 steps, 2 epochs, 24 images" in page
    assert "The run is complete." in page
    assert page.count("<img") == 2 and page.count("<svg") >= 8
    said = record()
    assert said["ended"] == {"step": 6, "how": "complete", "text": ""}
    assert [c["sheet"] for c in said["checkpoints"]] == ["epoch_0001.png", "epoch_0002.png"]
    assert said["styles"] == {"photo": 6, "paint": 6}
    assert said["config"]["checkpoint"]["preview_dir"] == "photos"


def test_the_report_is_written_at_each_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = watch.write_report

    def spy(folder: Path) -> Path:
        seen.append(len(read_history(folder).rows))
        return real(folder)

    monkeypatch.setattr(watch, "write_report", spy)
    trainer(config(checkpoint__save_every=2, training__num_epochs=4)).run()
    assert seen == [2, 4, 4]


def test_a_resumed_run_is_told_as_one() -> None:
    trainer(config(training__num_epochs=2, training__lr_schedule="constant")).run()
    settings = config(training__num_epochs=3, training__lr_schedule="constant")
    half = Checkpoint.load(Path("checkpoints/epoch_0001.pt"))
    trainer(settings, checkpoint=half).run()
    history = read_history(Path("checkpoints"))
    assert [row["step"] for row in history.rows] == [3, 6, 9]
    assert "9 of 9 steps" in Path("checkpoints/report.html").read_text()


def test_a_run_that_failed_says_why() -> None:
    settings = config(training__collapse_threshold=1e6, training__collapse_patience=1)
    with pytest.raises(TrainingError):
        trainer(settings).run()
    assert record()["ended"]["how"] == "failed"
    assert "no longer depend on the style" in Path("checkpoints/report.html").read_text()


def test_warnings_are_kept() -> None:
    settings = config(
        training__collapse_threshold=1e6,
        training__collapse_patience=1,
        training__on_collapse="warn",
    )
    recorder = Recorder.new()
    trainer(settings, reporter=recorder).run()
    texts = [warning["text"] for warning in record()["warnings"]]
    assert texts == [text for text in recorder.messages if "measuring" not in text]
    assert "no perceptual network" in texts[0], "also what is told before the log is open"
    assert [warning["step"] for warning in record()["warnings"]] == [0, 3, 6]
    assert "step 6: WARNING: outputs no longer depend" in (
        Path("checkpoints/report.html").read_text()
    )


@pytest.mark.parametrize("name", ["write_report", "describe_machine"])
def test_a_report_that_fails_does_not_stop_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch, name, broken)
    recorder = Recorder.new()
    assert trainer(config(), reporter=recorder).run() is None
    told = [text for text in recorder.messages if "could not be written" in text]
    assert len(told) == 1, "once, not at each checkpoint"
    assert "No space left on device" in told[0]
    assert Checkpoint.load(Path("checkpoints/latest.pt")).step == 6


def test_a_folder_in_the_way_of_the_sheets_does_not_stop_training() -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints/samples").touch()
    recorder = Recorder.new()
    assert trainer(config(checkpoint__num_samples=1), reporter=recorder).run() is None
    assert len([text for text in recorder.messages if "no sample sheets" in text]) == 1


def test_photos_are_encoded_once_and_their_style_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    encode, outputs = samples.encode_image, samples.outputs_of_styles

    def counting(codec: Any, image: torch.Tensor) -> torch.Tensor:
        assert image.shape == (1, 3, 64, 64)
        calls.append(1)
        return encode(codec, image)

    def checking(network: Any, x: torch.Tensor, styles: torch.Tensor, settings: Any) -> Any:
        assert x.shape == (2, 4, 8, 8) and styles.tolist() == [-1, -1]
        return outputs(network, x, styles, settings)

    monkeypatch.setattr(samples, "encode_image", counting)
    monkeypatch.setattr(samples, "outputs_of_styles", checking)
    folder = photos("a.png", "b.png", "c.png", "d.png")
    (Path(folder) / "c.png").write_text("broken")
    settings = config(checkpoint__num_samples=4, checkpoint__preview_dir=folder)
    (Path(folder) / "d.png").unlink()
    recorder = Recorder.new()
    trainer(settings, reporter=recorder).run()
    assert len(calls) == 2
    assert len([text for text in recorder.messages if "preview left out" in text]) == 1
    sheet = Image.open("checkpoints/samples/epoch_0002.png").convert("RGB")
    left = sheet.width - 4 * 68  # photo, round trip and two styles
    assert sheet.getpixel((left + 30, 54)) == (0, 120, 40), "the first photo as it is"
    assert sheet.getpixel((left + 30, 122)) == (60, 120, 40)


def test_photos_do_not_change_the_training() -> None:
    trainer(config(checkpoint__num_samples=2)).run()
    plain = Checkpoint.load(Path("checkpoints/latest.pt")).network
    trainer(config(checkpoint__num_samples=2, checkpoint__preview_dir=photos("a.png"))).run()
    shown = Checkpoint.load(Path("checkpoints/latest.pt")).network
    assert all(torch.equal(plain[name], shown[name]) for name in plain)


def test_a_codec_with_other_latents_gives_no_sheet_and_a_warning() -> None:
    latents = dataset()
    settings = config(checkpoint__num_samples=1, checkpoint__preview_dir=photos("a.png"))
    recorder = Recorder.new()
    run = trainer(settings, latents, reporter=recorder)
    run.samples._codec = samples.load_codec("dct:7")
    assert run.run() is None
    (told,) = (text for text in recorder.messages if "no sample sheets" in text)
    assert "7 channels" in told


@pytest.mark.parametrize("found", [False, True])
def test_a_folder_without_photos_is_refused_before_anything_is_deleted(found: bool) -> None:
    write_latents(Path("data/latents"))
    write_config(Path("config.json"), checkpoint__num_samples=1)
    assert run_lgt("train").exit_code == 0
    if found:
        Path("none").mkdir()
    wrong = run_lgt("train", "--overwrite", "--set", "checkpoint.preview_dir=none")
    assert wrong.exit_code == 2
    assert "checkpoint.preview_dir" in wrong.stderr and "none" in wrong.stderr
    assert Path("checkpoints/latest.pt").exists()


def test_tensorboard_gets_numbers_and_pictures_of_each_step_once() -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    write_latents(Path("data/latents"))
    write_config(Path("config.json"), checkpoint__num_samples=1, training__lr_schedule="constant")
    done = run_lgt("train", "--tensorboard")
    assert done.exit_code == 0, done.stderr
    again = run_lgt(
        *("train", "--tensorboard", "--resume_from", "checkpoints/epoch_0001.pt"),
        *("--set", "training.num_epochs=3"),
    )
    assert again.exit_code == 0, again.stderr
    events = accumulator.EventAccumulator("checkpoints/tensorboard")
    events.Reload()
    tags = events.Tags()
    assert {"energy/total", "energy/style", "optimiser/gradient_norm"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("energy/total")] == list(range(1, 10))
    assert [event.step for event in events.Scalars("epoch/id_swap_distance")] == [3, 6, 9]
    assert [event.step for event in events.Images("samples")] == [3, 6, 9]


def test_tensorboard_that_is_missing_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install 'lgt\[tensorboard\]'"):
        trainer(config(checkpoint__tensorboard=True))
    assert trainer(config()).run() is None, "off unless asked for"
    assert not Path("checkpoints/tensorboard").exists()
