"""The first command after installation: an empty folder, no network, no configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from limits import HANG
from PIL import Image

from lgt.model.shipped import MODEL_FOLDER, SOURCE_NAME

OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from lgt.cli import main
main()
"""


def lgt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lgt ARGUMENTS` where nothing can be fetched and no home folder holds a cache."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LGT_", "HF_"))}
    home = {"HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", OFFLINE, *arguments],
        cwd=folder,
        env=environment | home,
        capture_output=True,
        text=True,
        timeout=HANG,
    )


def test_transfer_works_right_after_installation(tmp_path: Path) -> None:
    photo = Image.open(MODEL_FOLDER / SOURCE_NAME).resize((150, 101))
    photo.save(tmp_path / "photo.jpg")
    done = lgt(tmp_path, "transfer", "photo.jpg", "out.jpg", "--style", "vangogh")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "model: embedded\n"
    assert done.stdout.startswith("out.jpg: 150 x 101, style vangogh, ")
    assert Image.open(tmp_path / "out.jpg").size == (150, 101)
    assert {path.name for path in tmp_path.iterdir()} <= {"photo.jpg", "out.jpg", "home"}


def test_the_wheel_holds_the_assets(tmp_path: Path, repository: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (built,) = wheel.WheelBuilder(str(repository)).build(
        directory=str(tmp_path), versions=["standard"]
    )
    names = zipfile.ZipFile(built).namelist()
    shipped = [path for path in (repository / "src/lgt/assets").rglob("*") if path.is_file()]
    assert len(shipped) > 10
    for path in shipped:
        assert path.relative_to(repository / "src").as_posix() in names
