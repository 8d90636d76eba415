"""Two runs do not mix in one folder, and a run that was killed holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits import HANG
from PIL import Image
from toys import run_lgt

from lgt.errors import InputError
from lgt.lock import NAME, sole_writer

HOLD = """
import sys, time
from pathlib import Path
from lgt.lock import sole_writer
with sole_writer(Path(sys.argv[1]), "lgt train", "--set checkpoint.save_dir=FOLDER"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that holds the folder `run`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=HANG)


def test_the_second_is_refused_and_told_who_is_there(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    folder = tmp_path / "run"
    words = rf"run: another lgt train \(process {holder.pid} on .*, for 0 minutes\) writes into"
    with pytest.raises(InputError, match=words), sole_writer(folder, "me", "--out"):
        pass
    words = "choose another folder with --out"
    with pytest.raises(InputError, match=words), sole_writer(folder, "me", "--out"):
        pass
    holder.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    holder.wait(HANG)
    with sole_writer(folder, "me", "--out"):
        assert f'"pid": {os.getpid()}' in (folder / NAME).read_text()
        with pytest.raises(InputError, match="another me"), sole_writer(folder, "you", "--out"):
            pass
    assert list(folder.iterdir()) == []


def test_another_folder_is_free_and_a_file_is_none(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "a", "me", "--out"), sole_writer(tmp_path / "b", "me", "--out"):
        pass
    (tmp_path / "file").write_text("")
    words, path = "can not write to this folder", tmp_path / "file"
    with pytest.raises(InputError, match=words), sole_writer(path, "me", "--out"):
        pass


def test_preprocess_and_train_hold_their_folder(tmp_path: Path) -> None:
    for style in ("a", "b"):
        for index in range(2):
            path = tmp_path / "raw" / style / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (90 * index, 50, 70)).save(path)
    latents, run = tmp_path / "latents", tmp_path / "run"
    made = ["--raw_data_root", tmp_path / "raw", "--output_root", latents, "--codec", "dct"]
    made += ["--target_size", "32"]
    with sole_writer(latents, "lgt preprocess", "--output_root"):
        result = run_lgt("preprocess", *made)
        assert result.exit_code == 2 and "another lgt preprocess" in result.output
    assert run_lgt("preprocess", *made).exit_code == 0
    keys = {
        "data.data_root": latents,
        "data.style_subdirs": '["a", "b"]',
        "model.base_channels": 8,
        "training.num_epochs": 1,
        "training.steps_per_epoch": 1,
        "training.batch_size": 2,
        "training.ode_integration_steps": 1,
        "loss.perceptual_network": "none",
        "checkpoint.num_samples": 0,
        "checkpoint.save_dir": run,
    }
    words = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    with sole_writer(run, "lgt train", "--set checkpoint.save_dir=FOLDER"):
        result = run_lgt("train", "--device", "cpu", *words)
        assert result.exit_code == 2 and "another lgt train" in result.output
        assert [path.name for path in run.iterdir()] == [NAME]
    result = run_lgt("train", "--device", "cpu", *words)
    assert result.exit_code == 0, result.output
    assert not (run / NAME).exists() and (run / "epoch_0001.pt").is_file()
