"""`lgt evaluate` from folders and a checkpoint to a report, and the peers before it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from limits import HANG
from PIL import Image
from toys import config, run_lgt, write_model

pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra lgt[metrics]")

ROOT = Path(__file__).parents[2]
SIZE = 64
STYLES = ("dots", "stripes")
FOLDERS = ("--photos", "val/photo", "--styles", "val", "--train_styles", "train")


def picture(style: str, seed: int) -> Image.Image:
    """Draw smooth blobs; `dots` are red with fine noise, `stripes` are blue with lines."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (5, 5, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    image = pixels.astype(float)
    if style == "dots":
        image = image * 0.6 + [80, 0, 0] + rng.choice([-60, 60], (SIZE, SIZE, 1))
    if style == "stripes":
        image = image * 0.6 + [0, 0, 80] + 60 * np.sign(np.sin(np.arange(SIZE)))[:, None, None]
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with drawn photos and works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))
    for split, count in (("val", 6), ("train", 10)):
        for number, style in enumerate(("photo", *STYLES)):
            (tmp_path / split / style).mkdir(parents=True)
            for index in range(count):
                image = picture(style, 1000 * number + 100 * (split == "val") + index)
                image.save(tmp_path / split / style / f"{index}.png")
    return tmp_path


def evaluate(*arguments: object, **expected: int) -> dict[str, dict]:
    fixed = (*FOLDERS, "--size", SIZE, "--out", "report", "--bootstrap", 10)
    result = run_lgt("evaluate", *arguments, *fixed)
    assert result.exit_code == expected.get("exit_code", 0), result.output
    rows = json.loads(Path("report/report.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


def test_controls_come_out_as_they_must(workspace: Path) -> None:
    rows = evaluate("--codec", "dct:16")
    assert list(rows) == ["IDT", "RT", "TGT", "TRN", "MIX"]
    idt, trn = rows["IDT"]["mean"], rows["TRN"]["mean"]
    assert idt["content"] < 1e-4
    assert idt["style"] == pytest.approx(1)
    assert idt["grey_style"] == pytest.approx(1)
    assert idt["f"] == 0
    assert trn["style"] < 0.4
    assert trn["accuracy"] > 0.9
    assert trn["f"] < 0.2
    assert idt["content"] < rows["MIX"]["mean"]["content"] < trn["content"]
    extras = rows["IDT"]["extras"]["mean"]
    for name in ("ssim", "kernel", "patch_swd", "diversity"):
        assert extras[name] == pytest.approx(1, abs=1e-3), name
    assert extras["id_swap"] == pytest.approx(0, abs=1e-6)
    low, high = rows["MIX"]["intervals"]["mean"]["style"]
    assert low <= rows["MIX"]["mean"]["style"] <= high
    assert set(rows["MIX"]["styles"]) == set(STYLES)


def test_a_checkpoint_and_a_folder(workspace: Path) -> None:
    """A model's own pictures, given back as a folder, score what the model scored."""
    settings = config(model__num_styles=3, data__style_subdirs=["photo", *STYLES])
    write_model(workspace / "model.pt", settings)
    first = evaluate("tiny=model.pt", "--codec", "dct")
    assert len(list(Path("report/pictures/tiny/dots").iterdir())) == 6
    assert first["tiny"]["cost"]["seconds_per_image"] > 0
    again = evaluate("copy=report/pictures/tiny", "--codec", "dct")
    assert again["copy"]["mean"] == pytest.approx(first["tiny"]["mean"])
    assert again["IDT"] == first["IDT"], "cached measurements are the measurements"
    table = Path("report/report.md").read_text()
    assert "| copy |" in table
    page = Path("report/report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert not re.search(r"(src|href)=.(?!data:)", page), "the page loads something"


def test_unreadable_works_are_reported_at_the_end(workspace: Path) -> None:
    (workspace / "val" / "dots" / "0.png").write_bytes(b"nothing")
    rows = evaluate("--codec", "dct", exit_code=1)
    assert rows
    problems = json.loads(Path("report/report.json").read_text())["problems"]
    assert [path for path, _ in problems] == ["val/dots/0.png"]


def test_peers_write_what_evaluate_reads(workspace: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks/peers.py"), *FOLDERS[:2], *FOLDERS[4:]),
            *("--out", "peers", "--size", str(SIZE), "--codec", "dct:192"),
            *("--methods", "reinhard,latent_adain,latent_wct"),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["method"] for line in lines] == ["reinhard", "latent_adain", "latent_wct"]
    rows = evaluate("peers/reinhard", "peers/latent_wct", "--codec", "dct:192")
    assert rows["reinhard"]["cost"]["seconds_per_image"] > 0
    assert rows["reinhard"]["mean"]["style"] < 1
    assert rows["reinhard"]["mean"]["content"] < rows["MIX"]["mean"]["content"]
