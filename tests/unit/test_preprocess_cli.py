"""The command `preprocess`: options, exit codes, messages, and a run that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from limits import HANG
from PIL import Image
from typer.testing import CliRunner, Result

from lgt.cli.preprocess import preprocess
from lgt.cluster import Spread
from lgt.codec import DCTCodec
from lgt.data.preprocess import preprocess_folder
from lgt.data.store import Manifest, load_latent
from lgt.errors import InputError
from lgt.image import save_image

KILLED_RUN = """
import sys, time
import lgt.data.preprocess as module
module._SAVE_SECONDS = 0.0
module.preprocess_folder(sys.argv[1], sys.argv[2], target_size=64, codec="dct:4", batch_size=2,
                         progress=lambda state: time.sleep(0.02))
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        save_image(Image.fromarray(pixels), tmp_path / "raw" / "style0" / f"img{i}.png")
    return tmp_path / "raw"


def invoke(*arguments: str | Path) -> Result:
    application = typer.Typer(rich_markup_mode=None)
    application.command()(preprocess)
    return CliRunner().invoke(application, [str(a) for a in arguments])


def test_documented_flags(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = (
        "--raw_data_root",
        raw,
        "--output_root",
        out,
        "--codec",
        "dct:4",
        "--target_size",
        "16",
    )
    result = invoke(
        *paths, "--batch_size", "2", "--num_crops", "2", "--hflip", "--num_workers", "1",
        "--device", "cpu", "--precision", "fp32", "--overwrite",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "12 written, 0 already there" in result.output
    assert len(Manifest.load(out).files) == 12
    result = invoke(*paths)
    assert "0 written, 3 already there, 9 outdated deleted" in result.output


def test_flags_with_dashes(raw: Path, tmp_path: Path) -> None:
    result = invoke(
        "--raw-data-root", raw, "--output-root", tmp_path / "out", "--target-size", "16",
        "--codec", "dct", "--batch-size", "1", "--num-crops", "1", "--num-workers", "0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "3/3" in result.output  # the progress bar


def test_exit_code_1_lists_what_failed(raw: Path, tmp_path: Path) -> None:
    (raw / "style0" / "bad.jpg").write_text("no image")
    result = invoke("--raw_data_root", raw, "--output_root", tmp_path / "out", "--codec", "dct")
    assert result.exit_code == 1
    assert "1 image(s) could not be used:" in result.output
    assert f"- {raw / 'style0' / 'bad.jpg'}: not an image that can be read" in result.output
    assert "3 written" in result.output


def test_warnings_are_plain_messages(raw: Path, tmp_path: Path) -> None:
    save_image(Image.new("RGB", (8, 8)), raw / "loose.png")
    result = invoke("--raw_data_root", raw, "--output_root", tmp_path / "out", "--codec", "dct")
    assert result.exit_code == 0
    assert "warning: 1 image(s) directly in" in result.output
    assert "UserWarning" not in result.output


def test_help_names_every_flag() -> None:
    result = invoke("--help")
    names = (
        "raw_data_root output_root target_size codec batch_size num_crops hflip overwrite device"
    )
    for name in (*names.split(), "precision", "num_workers"):
        assert f"--{name}" in result.output


def test_options_of_the_other_engine_are_refused(raw: Path, tmp_path: Path) -> None:
    paths = ("--raw_data_root", raw, "--output_root", tmp_path / "out", "--codec", "dct:4")
    found = invoke(*paths, "--engine", "ray", "--num_workers", "2").exception
    assert isinstance(found, InputError) and "--num_workers is for --engine local" in str(found)
    with pytest.raises(InputError, match="give its name, not the codec"):
        preprocess_folder(raw, tmp_path / "out", target_size=16, codec=DCTCodec(4), spread=Spread())
    assert not (tmp_path / "out").exists()


def test_interruption_says_how_to_go_on(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lgt.data.preprocess.preprocess_folder", interrupt)
    result = invoke("--raw_data_root", raw, "--output_root", tmp_path / "out")
    assert result.exit_code != 0
    assert "stopped; run the same command again to go on" in result.output


def shim(repository: Path, *arguments: str | Path, python: tuple[str, ...] = ()) -> Any:
    command = [sys.executable, *python, repository / "preprocess_latents.py", *arguments]
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=HANG, check=False
    )


def test_shim_reports_wrong_arguments(repository: Path, raw: Path) -> None:
    done = shim(repository, "--raw_data_root", raw, "--output_root", raw / "x", "--codec", "dct")
    assert done.returncode == 2
    assert done.stderr.startswith("error: output_root: ")
    assert "Traceback" not in done.stderr


def test_shim_without_the_package(repository: Path) -> None:
    done = shim(repository, "--help", python=("-S", "-E"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: the package lgt is not installed; run `pip install")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 255, (70, 90, 3), dtype=np.uint8)
        save_image(Image.fromarray(pixels), raw / f"style{i % 2}" / f"{i:02d}.png")
    for wanted in (5, 30):
        process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(raw), str(out)])
        deadline = time.monotonic() + HANG
        while len(list(out.rglob("*.pt"))) < wanted and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        listed = Manifest.load(out).files  # whole at any moment
        assert all(load_latent(out / path).shape == (4, 8, 8) for path in listed)
    report = preprocess_folder(raw, out, target_size=64, codec="dct:4")
    assert len(report.skipped) + len(report.written) == 60
    assert len(listed) >= 5
    assert set(listed) <= set(report.skipped)
    reference = tmp_path / "reference"
    preprocess_folder(raw, reference, target_size=64, codec="dct:4")
    assert Manifest.load(out) == Manifest.load(reference)
    for path in Manifest.load(reference).files:
        assert torch.equal(load_latent(out / path), load_latent(reference / path))
