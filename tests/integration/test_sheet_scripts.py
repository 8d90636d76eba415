"""Scripts that draw a sheet: the name of the picture is looked at first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from toys import picture, write_model


@pytest.mark.parametrize("script", ["sampler_sheet.py", "style_sheet.py"])
def test_a_picture_without_a_kind_is_refused_in_a_sentence(
    script: str, repository: Path, tmp_path: Path
) -> None:
    words = ["embedded", "--photos", str(tmp_path), "--styles", "monet", "--out", "sheet"]
    run = subprocess.run(
        [sys.executable, str(repository / "scripts" / script), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "argument --out: sheet" in run.stderr and ".png" in run.stderr


def test_a_sheet_is_drawn(repository: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt")
    picture(1).save(tmp_path / "a.png")
    words = [str(model), "--photos", str(tmp_path), "--styles", "paint", "--count", "1"]
    subprocess.run(
        [sys.executable, str(repository / "scripts" / "style_sheet.py"), *words, "--out", "a.jpg"],
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert Image.open(tmp_path / "a.jpg").width > 3 * 256
