"""Every configuration in examples/, and every preset, trains as it stands."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import run_lgt

from lgt.config import load_config
from lgt.config.presets import PRESETS
from lgt.report.log import DISTANCE
from lgt.train import Checkpoint

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.json") if path.stem not in PRESETS)
"""Files; those that are left out equal presets (tests/unit/test_config.py)."""
SHORT = ("training.num_epochs=1", "training.steps_per_epoch=2", "training.batch_size=2")
"""All that is changed: how long it trains."""


def draw(style: int, seed: int) -> Image.Image:
    """Draw blobs whose brightness and grain are the style's."""
    rng = np.random.default_rng([style, seed])
    coarse = rng.integers(10 * style, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((150, 140), Image.Resampling.BICUBIC)
    grain = rng.integers(-8 * style - 1, 8 * style + 1, (140, 150, 1))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def test_there_are_configurations() -> None:
    assert {"demo.json", "painters_features.json"} <= set(NAMES)
    assert "painters" in PRESETS and (EXAMPLES / "painters.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, *PRESETS])
def test_it_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = EXAMPLES / name
    if name in PRESETS:
        path = Path("config.json")
        written = run_lgt("config", "init", "--preset", name)
        assert written.exit_code == 0, written.stderr
    config = load_config(path)
    for number, style in enumerate(config.data.style_subdirs):
        folder = Path("data/raw", style)  # Where `loss.works_root` looks.
        folder.mkdir(parents=True)
        for seed in range(2):
            draw(number, seed).save(folder / f"{seed}.png")
    arguments = ("--raw_data_root", "data/raw", "--output_root", config.data.data_root)
    made = run_lgt("preprocess", *arguments, "--target_size", "64", "--codec", config.data.codec)
    assert made.exit_code == 0, made.stderr

    changes = [word for key in SHORT for word in ("--set", key)]
    trained = run_lgt("train", "--config", path, *changes, "--device", "cpu")
    assert trained.exit_code == 0, trained.stderr
    folder = Path(config.checkpoint.save_dir)
    (log,) = (folder / "logs").glob("*.csv")
    (row,) = csv.DictReader(log.open())
    assert row["step"] == "2"
    # After two steps hardly any style has enough outputs for a distance to its works.
    untold = {name for name in row if name.startswith(DISTANCE) and row[name] == "nan"}
    assert all(math.isfinite(float(row[name])) for name in row.keys() - untold), row
    if config.training.objective == "lgt":
        assert float(row["style"]) > 0 and float(row["content"]) > 0
    assert Checkpoint.load(folder / "latest.pt").step == 2

    style = config.data.style_subdirs[-1]
    picture = (Path("data/raw", config.data.style_subdirs[0], "0.png"), "out.png", "--style", style)
    painted = run_lgt("transfer", *picture, "--model", folder / "latest.pt")
    assert painted.exit_code == 0, painted.stderr
    assert Image.open("out.png").size == (150, 140)
