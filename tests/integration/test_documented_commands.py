"""The documented commands, configuration and Python example, as a user would type them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from limits import HANG
from PIL import Image

from lgt.config import Config, parse_config
from lgt.data.store import load_latent
from lgt.model.checkpoint import epoch_checkpoints
from lgt.train import Checkpoint

SCRIPTS = ("preprocess_latents.py", "train.py", "inference.py")
SNIPPET = """
{
  "data": {
    "data_root": "data/latents",
    "style_subdirs": ["style0", "style1"]
  },
  "model": {
    "num_styles": 2
  }
}
"""
TINY = {"base_channels": 8, "style_dim": 8, "time_dim": 8}
SMALL: dict[str, dict[str, Any]] = {
    "model": {**TINY, "num_encoder_blocks": 1, "num_decoder_blocks": 1},
    "loss": {
        "num_projections": 4,
        "max_samples": 64,
        "max_positions": 64,
        "patch_dilations": [1],
        "content_scales": [2],
        "perceptual_network": "none",
    },
    "training": {
        "batch_size": 4,
        "ode_integration_steps": 1,
        "learning_rate": 1e-3,
        "mixed_precision": "no",
    },
    "checkpoint": {"num_samples": 1},
}
PREPROCESS = """
python preprocess_latents.py \\
    --raw_data_root images \\
    --output_root data/latents \\
    --target_size 256
"""
INFERENCE = """
python inference.py \\
    checkpoints/epoch_0100.pt \\
    input.jpg \\
    output.jpg \\
    --target_style_id 1
"""
EXAMPLE = """
from inference import LGTInference, load_vae, encode_image, decode_latent
from inference import preprocess, save_image
from PIL import Image
import torch

device = 'cuda'
vae = load_vae(device)
lgt = LGTInference(
    model_path='checkpoints/epoch_0100.pt',
    device=device,
    temperature_lambda=0.1,
    use_cfg=True,
    cfg_scale=2.0,
    num_steps=20
)

image = Image.open('input.jpg')
image_tensor = preprocess(image)
latent_src = encode_image(vae, image_tensor, device)

latent_out = lgt.transfer_style(
    x_source=latent_src,
    source_style_id=0,
    target_style_id=1,
    num_steps=20
)

image_out = decode_latent(vae, latent_out, device)
save_image(image_out, 'example.jpg')
"""
CHECKS = """
assert image_tensor.shape == (1, 3, 256, 256)
assert latent_src.shape == latent_out.shape == (1, 4, 32, 32)
assert torch.isfinite(latent_out).all()
assert (latent_out - latent_src.to(latent_out)).abs().mean() > 1e-3
"""


@pytest.fixture
def workspace(tmp_path: Path, repository: Path) -> Path:
    """Return a folder with images of two styles, the entry scripts and the configuration."""
    folder = tmp_path
    rng = np.random.default_rng(0)
    for index in range(4):
        path = folder / "images" / f"style{index // 2}" / f"img{index + 1:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        low, high = ((0, 100), (150, 256))[index // 2]  # Dark and bright.
        pixels = rng.integers(low, high, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((300, 260), Image.Resampling.BICUBIC).save(path)
    shutil.copy(path, folder / "input.jpg")
    for script in SCRIPTS:
        shutil.copy(repository / script, folder)
    settings = json.loads(SNIPPET)
    for section, keys in SMALL.items():
        settings.setdefault(section, {}).update(keys)
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def shell(command: str, folder: Path, **variables: str) -> str:
    """Run a command line; return all that it prints."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "Traceback" not in text
    return text


def check_latents(folder: Path) -> None:
    for index in range(4):
        latent = load_latent(folder / f"style{index // 2}" / f"img{index + 1:03d}.pt")
        assert latent.shape == (4, 32, 32)
        assert latent.dtype == torch.float32


def check_run(folder: Path) -> None:
    (log,) = (folder / "logs").glob("*.csv")
    assert re.fullmatch(r"training_\d{8}_\d{6}\.csv", log.name)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 101))
    names = [path.name for path in epoch_checkpoints(folder)]
    assert names == [f"epoch_{epoch:04d}.pt" for epoch in range(5, 101, 5)]
    assert len(list((folder / "samples").glob("*.png"))) == 20
    trained = Checkpoint.load(folder / "epoch_0100.pt")
    assert trained.style_names == ("style0", "style1")
    assert trained.config.training.num_epochs == 100


def test_the_documented_way(workspace: Path, repository: Path) -> None:
    assert "4 written" in shell(PREPROCESS, workspace)
    check_latents(workspace / "data" / "latents")

    shell("python train.py", workspace)
    check_run(workspace / "checkpoints")

    shell(INFERENCE, workspace)
    with Image.open(workspace / "output.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (300, 260))

    for script in SCRIPTS:  # Of the repository, not of the working directory.
        (workspace / script).unlink()
    # As documented, on `cuda`: without one a warning, and the CPU.
    (workspace / "example.py").write_text(EXAMPLE + CHECKS)
    text = shell("python example.py", workspace, PYTHONPATH=str(repository))
    assert ("this runs on the CPU" in text) != torch.cuda.is_available()
    with Image.open(workspace / "example.jpg") as image:
        assert image.size == (256, 256)


def test_documented_snippet_gives_the_defaults() -> None:
    assert parse_config(SNIPPET) == Config()


def test_documented_keys_and_defaults() -> None:
    reference = """
    {
      "model": {
        "latent_channels": 4,
        "base_channels": 128,
        "style_dim": 256,
        "time_dim": 256,
        "num_styles": 2,
        "num_encoder_blocks": 2,
        "num_decoder_blocks": 3
      },
      "loss": {
        "w_style": 1.0,
        "w_content": 1.0,
        "patch_size": 3,
        "num_projections": 64,
        "max_samples": 4096,
        "use_velocity_reg": false,
        "vel_reg_weight": 0.01  // as are comments
      },
      "inference": {
        "num_steps": 20,
        "temperature_lambda": 0.1,
        "temperature_threshold": 0.5,
        "use_cfg": true,
        "cfg_scale": 2.0,
        "cfg_decay": true
      },
      "training": {
        "batch_size": 16, "learning_rate": 1e-4, "num_epochs": 100,
        "ode_integration_steps": 5, "label_drop_prob": 0.1
      },
      "checkpoint": {"save_dir": "checkpoints", "save_every": 5}
    }
    """
    assert parse_config(reference) == Config()
