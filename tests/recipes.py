"""Whole configurations made small, with latents and pictures for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lgt.codec import DCTCodec, load_codec
from lgt.config import Config, config_from_dict
from lgt.data.dataset import LatentDataset

SIDE = 8
PER_STYLE = 2


def tiny(values: dict[str, Any], folder: Path) -> Config:
    """Make a configuration small, and its folders those of a test; all else stays."""
    model, loss, training = (values.setdefault(key, {}) for key in ("model", "loss", "training"))
    model |= {"base_channels": 8, "style_dim": 8, "time_dim": 8}
    model |= {"num_encoder_blocks": 1, "num_decoder_blocks": 1}
    loss |= {"num_projections": 4, "max_samples": 64, "collection_memory": 2}
    if loss.get("works_root"):
        loss["works_root"] = str(folder / "raw")
    training |= {"batch_size": 4, "steps_per_epoch": 2, "num_epochs": 1}
    training |= {"ode_integration_steps": 2}
    values.setdefault("checkpoint", {})
    values["checkpoint"] |= {"save_dir": str(folder / "run"), "save_every": 1, "num_samples": 1}
    return config_from_dict(values)


def latents_for(settings: Config) -> LatentDataset:
    """Return random latents of every style, of the codec that the configuration names."""
    names, codec = settings.data.style_subdirs, settings.data.codec
    channels = settings.model.latent_channels
    spec = DCTCodec(channels).spec if codec.startswith("dct") else load_codec("embedded").spec
    generator = torch.Generator().manual_seed(0)
    count = PER_STYLE * len(names)
    return LatentDataset(
        latents=torch.randn(count, channels, SIDE, SIDE, generator=generator),
        style_ids=torch.arange(len(names)).repeat_interleave(PER_STYLE),
        style_names=tuple(names),
        codec=spec,
        paths=tuple(Path(name) / f"{i}.pt" for name in names for i in range(PER_STYLE)),
    )


def draw_pictures(folder: Path, names: tuple[str, ...]) -> None:
    """Write the pictures that the latents are said to be of."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(PER_STYLE):
            pixels = rng.integers(0, 256, (8 * SIDE, 8 * SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
