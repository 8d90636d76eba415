"""The main job on pictures: preprocess, train, transfer, with everything that real folders hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from limits import HANG
from PIL import Image
from toys import run_lgt, write_config

from lgt.image import open_image
from lgt.train import Checkpoint

STYLES = ("photo", "dark", "fine")
COMPILED = """
import torch
from toys import config, trainer

given = {"model.num_decoder_blocks": 1, "training.ode_integration_steps": 1}
runs = [trainer(config(given, training__compile=wanted)) for wanted in (False, True)]
for _ in range(2):
    plain, compiled = (run._advance() for run in runs)
    assert abs(plain["total"] - compiled["total"]) < 1e-3 * plain["total"], (plain, compiled)
states = [run.network.state_dict() for run in runs]
assert list(states[0]) == list(states[1])
"""


def picture(style: str, seed: int, width: int, height: int) -> Image.Image:
    """Draw soft blobs; `dark` ones are dark, `fine` ones have fine detail."""
    rng = np.random.default_rng(seed)
    low, high = (0, 90) if style == "dark" else (60, 256)
    coarse = rng.integers(low, high, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    if style == "fine":
        noise = rng.integers(-60, 60, (height, width, 1))
        image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    return image


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with pictures of many sizes and formats, one broken, and a configuration."""
    monkeypatch.chdir(tmp_path)
    suffixes = ("jpg", "png", "webp", "bmp")
    for number, style in enumerate(STYLES):
        folder = tmp_path / "images" / style / "nested"
        folder.mkdir(parents=True)
        for index, suffix in enumerate(suffixes):
            image = picture(style, 10 * number + index, 90 + 7 * index, 70 + 11 * index)
            (image.convert("L") if index == 2 else image).save(folder / f"{index}.{suffix}")
    (tmp_path / "images" / "photo" / "broken.jpg").write_bytes(b"not a picture")
    write_config(
        tmp_path / "config.json",
        {
            "model.latent_channels": 16,
            "model.num_styles": 3,
            "loss.color_gain": 10.0,
            "training.steps_per_epoch": 30,
            "training.ema_decay": 0.9,
            "training.batch_size": 6,
            "training.learning_rate": 1e-2,
            "training.collapse_threshold": 1e-3,
            "data.style_subdirs": STYLES,
            "data.source_subdirs": ["photo"],
            "data.codec": "dct:16",
            "checkpoint.save_every": 2,
            "checkpoint.num_samples": 2,
        },
    )
    return tmp_path


def brightness(path: Path) -> float:
    return float(np.asarray(open_image(path), dtype=float).mean())


def test_from_folders_of_pictures_to_a_stylised_photo(workspace: Path) -> None:
    paths = ("--raw_data_root", "images", "--output_root", "data/latents")
    result = run_lgt("preprocess", *paths, "--target_size", 64, "--num_crops", 2, "--hflip")
    assert result.exit_code == 1, "one picture is broken"
    assert "broken.jpg: not an image" in result.stderr
    assert len(list((workspace / "data" / "latents").rglob("*.pt"))) == 3 * 4 * 2 * 2

    result = run_lgt("train")
    assert result.exit_code == 0, result.stderr
    assert "48 latents of 16 x 8 x 8 (photo 16, dark 16, fine 16)" in result.stderr
    model = Checkpoint.load(Path("checkpoints/latest.pt"))
    assert model.latent_shape == (16, 8, 8)
    assert model.style_names == STYLES
    with Image.open("checkpoints/samples/epoch_0002.png") as sheet:
        assert sheet.width > 4 * 64, "round trip and three styles"

    photo = Path("photo.jpg")
    picture("photo", 99, 101, 67).save(photo)
    for style in STYLES:
        result = run_lgt("transfer", photo, f"{style}.png", "--style", style)
        assert result.exit_code == 0, result.stderr
        with Image.open(f"{style}.png") as image:
            assert image.size == (101, 67)
    kept = brightness(Path("photo.png"))
    assert kept == pytest.approx(brightness(photo), abs=40)
    assert brightness(Path("dark.png")) < kept - 60
    assert abs(brightness(Path("fine.png")) - kept) < abs(brightness(Path("dark.png")) - kept)


@pytest.mark.slow
@pytest.mark.skipif(
    "LGT_SLOW_TESTS" not in os.environ,
    reason="compiling the network takes over 15 s and a C++ compiler; set LGT_SLOW_TESTS=1",
)
def test_compiled_training_equals_plain_training(repository: Path) -> None:
    # In a process of its own: the shape checks of the tests are not made to be traced.
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env=os.environ | {"PYTHONPATH": str(repository / "tests"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
