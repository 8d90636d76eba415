"""`lgt evaluate --view`: paintings at full size, judged reduced and in windows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from toys import config, run_lgt, write_model

pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra lgt[metrics]")

STYLES = ("dots", "stripes")
LARGE, SMALL = (104, 88), (72, 70)


def draw(path: Path, style: str, seed: int, size: tuple[int, int] = LARGE) -> None:
    """Draw smooth blobs; `dots` are red with fine noise, `stripes` are blue with lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (5, 5, 3), dtype=np.uint8))
    image = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(float)
    if style == "dots":
        image = image * 0.6 + [80, 0, 0] + rng.choice([-60, 60], (size[1], size[0], 1))
    if style == "stripes":
        image = image * 0.6 + [0, 0, 80] + 60 * np.sign(np.sin(np.arange(size[0])))[:, None]
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with drawn photos and works, some of `dots` too small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lgt.metrics.view.LARGE", 80)
    for split, count in (("val", 4), ("train", 6)):
        for number, style in enumerate(("photo", *STYLES)):
            for index in range(count):
                seed = 1000 * number + 100 * (split == "val") + index
                size = SMALL if style == "dots" and index == 0 else LARGE
                draw(Path(split, style, f"{index}.png"), style, seed, size)
    draw(Path("val/photo/0.png"), "photo", 7, (208, 176))
    return tmp_path


def evaluate(*arguments: object) -> Result:
    folders = ("--photos", "val/photo", "--styles", "val", "--train_styles", "train")
    fixed = ("--view", 104, "--size", 64, "--codec", "dct:16", "--bootstrap", 5, "--out", "report")
    return run_lgt("evaluate", *folders, *fixed, *arguments)


Rows = dict[str, Any]


def report() -> tuple[dict[str, Any], Rows, Rows]:
    """Return the whole report, and the rows of both views by name."""
    values = json.loads(Path("report/report.json").read_text())
    views = ({row["name"]: row for row in view["rows"]} for view in (values, values["windows"]))
    return values, *views


def succeeded(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_a_model_and_its_results_are_judged_twice() -> None:
    settings = config(
        model__num_styles=3,
        model__latent_channels=16,
        data__style_subdirs=["photo", *STYLES],
        data__codec="dct:16",
    )
    write_model(Path("model.pt"), settings)
    succeeded(evaluate("tiny=model.pt"))
    _, *first = report()
    painted = sorted(Path("report/pictures/tiny/dots").iterdir())
    assert [Image.open(path).size for path in painted] == [LARGE] * 4  # 0.png was reduced
    result = succeeded(evaluate("copy=report/pictures/tiny"))
    assert result.stdout.count("| MIX |") == 2, "the terminal shows both tables"
    assert re.search(r"\| IDT .*\| 0\.00 \(0\.00 to 0\.00\) \|", result.stdout)
    assert "note: works left out of the windows" in result.stderr
    values, *again = report()
    assert values["heading"] == "Photos of 104 pixels, reduced to 64"
    assert values["windows"]["heading"] == "Windows of 64 pixels at full size, 4 a photo"
    for before, now in zip(first, again, strict=True):
        assert list(now) == ["IDT", "RT", "TGT", "TRN", "MIX", "copy"]
        assert now["copy"]["mean"] == pytest.approx(before["tiny"]["mean"])
        assert now["IDT"] == before["IDT"]
        idt, trn = now["IDT"]["mean"], now["TRN"]["mean"]
        assert idt["content"] < 1e-4 and idt["f"] == 0
        assert idt["style"] == idt["grey_style"] == pytest.approx(1)
        assert trn["accuracy"] > 0.9 and trn["style"] < 0.5
        assert 0 < now["RT"]["mean"]["content"] < now["MIX"]["mean"]["content"] < trn["content"]
        low, high = now["copy"]["intervals"]["mean"]["content"]
        assert low <= now["copy"]["mean"]["content"] <= high
    assert again[0]["copy"]["mean"] != again[1]["copy"]["mean"]
    assert values["windows"]["about"]["works"]["dots"] == {"unseen": 12, "seen": 20}
    assert values["about"]["works"]["dots"] == {"unseen": 4, "seen": 6}
    small = "works left out of the windows, as their short side is below 80 pixels"
    assert f"{small}: 1 in val/dots; taken: 3" in values["windows"]["notes"]
    text = Path("report/report.md").read_text()
    assert text.count("| copy |") == 2 * text.count("# Windows of") * (1 + 9 + 1)
    page = Path("report/report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * len(STYLES)
    assert not re.search(r"(src|href)=.(?!data:)", page), "the page loads something"
    sheets = sorted(Path("report/sheets").iterdir())
    assert [path.name for path in sheets] == ["dots.png", "stripes.png"]
    with Image.open(sheets[0]) as sheet:  # Photo, codec, results, work; three photos.
        assert sheet.width // LARGE[0] == 4 and sheet.height // LARGE[1] == 3


def refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    for part in parts:
        assert part in result.stderr


def test_results_of_another_size_are_refused() -> None:
    for index in range(4):
        draw(Path(f"results/dots/{index}.png"), "dots", index, LARGE)
    draw(Path("results/dots/2.png"), "dots", 2, SMALL)
    refused(
        evaluate("results"),
        "results/dots/2.png: is 72 x 70 pixels, but with --view 104 its photo is painted at "
        "104 x 88; make the result at that size",
    )


def test_a_style_without_large_works() -> None:
    for index in range(4):
        draw(Path(f"val/dots/{index}.png"), "dots", index, SMALL)
    refused(
        evaluate(),
        "no work in val/dots has a short side of 80 pixels or more (the largest: 70); add larger "
        "works, or leave the style out with --only",
    )
    result = succeeded(evaluate("--only", "stripes"))
    assert "not among the windows: dots" in result.stderr


def test_small_photos_and_unreadable_works_are_named() -> None:
    draw(Path("val/photo/3.png"), "photo", 3, (104, 60))
    Path("val/dots/1.png").write_bytes(b"nothing")
    assert evaluate().exit_code == 1
    values, *_ = report()
    assert "photos left out, as they are smaller than a window: 3.png" in values["notes"]
    assert values["about"]["photos"] == values["windows"]["about"]["photos"] == 3
    assert [path for path, _ in values["problems"]] == ["val/dots/1.png"]


def test_photos_that_are_all_too_small() -> None:
    for index in range(4):
        draw(Path(f"val/photo/{index}.png"), "photo", index, (60, 60))
    refused(evaluate(), "none of the images in val/photo", "a short side of 64 pixels")
    refused(evaluate("--view", 64, "--size", 80), "--view: must be at least --size")
