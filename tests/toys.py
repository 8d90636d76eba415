"""Toy latents, configurations and models, small enough that a training step takes a few ms.

The two toy styles are `photo`, smooth fields with weak fine detail, and `paint`, with strong fine
detail and the first channel raised by 1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.state import AcceleratorState
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor
from typer.main import get_command

from lgt.build import build_bank, build_energy, build_network, build_perceptual_network
from lgt.cli.app import _build
from lgt.codec import CodecSpec, DCTCodec
from lgt.config import Config, config_from_dict
from lgt.data.dataset import Batch, LatentDataset, sample_batch
from lgt.data.store import LatentEntry, Manifest, save_latent
from lgt.energy import FreeEnergy, StyleBank
from lgt.energy.works import WorksGaussians
from lgt.image import save_image
from lgt.train import Checkpoint, Trainer
from lgt.train.objective import Objective, build_objective

STYLES = ("photo", "paint")
FINE = (0.2, 0.8)
"""Strength of the fine detail of each style."""
PACKAGED = str(files("lgt") / "assets" / "perceptual")
WITH_FEATURES = {"loss.perceptual_network": PACKAGED}
"""Settings under which features of latents are looked at, whatever made them."""
SMALL: dict[str, dict[str, Any]] = {
    "model": {
        "base_channels": 8,
        "style_dim": 8,
        "time_dim": 8,
        "num_encoder_blocks": 1,
        "num_decoder_blocks": 2,
    },
    "loss": {
        "num_projections": 8,
        "max_samples": 64,
        "patch_dilations": [1],
    },
    "training": {
        "batch_size": 4,
        "num_epochs": 2,
        "steps_per_epoch": 3,
        "ode_integration_steps": 2,
        "warmup_steps": 0,
        "learning_rate": 2e-3,
        "mixed_precision": "no",
        "collapse_threshold": 0.0,
    },
    "data": {"style_subdirs": list(STYLES), "codec": "dct"},
    "checkpoint": {"save_every": 1, "num_samples": 0},
    "inference": {"num_steps": 4, "detail": 0.0},
}


def values(*changes: dict[str, Any], **dotted: Any) -> dict[str, dict[str, Any]]:
    """Return `SMALL` as JSON values with `section__key=value` changes."""
    merged = {section: dict(keys) for section, keys in SMALL.items()}
    for change in (*changes, dotted):
        for name, value in change.items():
            section, key = name.replace("__", ".").split(".")
            merged[section][key] = value
    return merged


def config(*changes: dict[str, Any], **dotted: Any) -> Config:
    """Build a checked toy configuration; see :func:`values`."""
    return config_from_dict(values(*changes, **dotted))


def fields(num_per_style: int, channels: int, size: int, seed: int = 0) -> Tensor:
    """Return scaled latents of both styles, `[2 num_per_style, C, size, size]`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2 * num_per_style, channels, 4, 4, generator=generator)
    latents = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise = torch.randn(latents.shape, generator=generator)
    fine = noise - F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    latents[:num_per_style] += FINE[0] * fine[:num_per_style]
    latents[num_per_style:] += FINE[1] * fine[num_per_style:]
    latents[num_per_style:, 0] += 1.0
    return latents


def dataset(num_per_style: int = 6, channels: int = 4, size: int = 8) -> LatentDataset:
    """Return the toy latents as a dataset of the DCT codec."""
    latents = fields(num_per_style, channels, size)
    names = [f"{style}/{i}.pt" for style in STYLES for i in range(num_per_style)]
    return LatentDataset(
        latents=latents.contiguous(memory_format=torch.channels_last),
        style_ids=torch.arange(2).repeat_interleave(num_per_style),
        style_names=STYLES,
        codec=DCTCodec(channels).spec,
        paths=tuple(Path(name) for name in names),
    )


def write_latents(root: Path, *, has_manifest: bool = True, **shape: int) -> Path:
    """Write the toy dataset as `lgt preprocess` would; return the folder."""
    toys = dataset(**shape)
    spec = toys.codec
    assert spec is not None
    files = {}
    for latent, path in zip(toys.latents, toys.paths, strict=True):
        num_bytes = save_latent(latent / spec.scaling_factor, root / path)
        files[path.as_posix()] = LatentEntry(f"{path.stem}.png", "0" * 64, num_bytes=num_bytes)
    if has_manifest:
        Manifest(codec=spec, target_size=8 * toys.latents.shape[-1], files=files).save(root)
    return root


def write_config(path: Path, *changes: dict[str, Any], **dotted: Any) -> Path:
    """Write a toy `config.json`."""
    path.write_text(json.dumps(values(*changes, **dotted)))
    return path


def trainer(settings: Config, latents: LatentDataset | None = None, **arguments: Any) -> Trainer:
    """Build a trainer on the CPU; accelerate's process-wide state is made anew."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return Trainer(settings, latents or dataset(), device="cpu", **arguments)


def objective(settings: Config, latents: LatentDataset | None = None) -> tuple[Objective, Batch]:
    """Build an objective and one batch for it."""
    latents = latents or dataset()
    bank = build_bank(settings, latents.latents, latents.style_ids)
    generator = torch.Generator().manual_seed(0)
    batch = sample_batch(latents, settings.training.batch_size, [], generator)
    features = build_perceptual_network(settings, latents.codec)
    return build_objective(settings, lively_network(settings), bank, features), batch


def lively_network(settings: Config, gain: float = 30.0) -> Any:
    """Build an untrained network whose output is large enough to tell settings apart."""
    network = build_network(settings)
    with torch.no_grad():
        network.conv_out.weight.mul_(gain)
    return network


def write_model(path: Path, settings: Config | None = None, **replaced: Any) -> Path:
    """Write a checkpoint with the weights of :func:`lively_network`; return its path."""
    settings = settings or config()
    channels = settings.model.latent_channels
    spec: CodecSpec = DCTCodec(channels).spec
    content = {
        "config": settings,
        "style_names": settings.data.style_subdirs,
        "codec": spec,
        "latent_shape": (channels, 8, 8),
        "step": 6,
        "network": lively_network(settings).state_dict(),
        **replaced,
    }
    Checkpoint(**content).save(path)
    return path


def gaussians(num_styles: int = 3, sizes: tuple[int, ...] = (4, 6)) -> WorksGaussians:
    """Return what is kept of the works of some styles, seen by a network of two layers."""
    generator = torch.Generator().manual_seed(0)
    roots = [torch.randn(num_styles, n, 2 * n, generator=generator) for n in sizes]
    return WorksGaussians(
        tuple(torch.randn(num_styles, n, generator=generator) for n in sizes),
        tuple(root @ root.mT for root in roots),
    )


def picture(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Draw a smooth picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def make_images(root: Path, names: list[str]) -> Path:
    """Write pictures of these names."""
    for seed, name in enumerate(names):
        save_image(picture(seed), root / name)
    return root


@dataclass
class Recorder:
    """A `Reporter` that keeps what it is told."""

    messages: list[str]
    rows: list[dict[str, float]]
    totals: list[float]
    works: list[tuple[int, int]]

    @classmethod
    def new(cls) -> Recorder:
        """Return an empty one."""
        return cls([], [], [], [])

    def measured(self, done: int, total: int) -> None:
        """Keep how many of how many."""
        self.works.append((done, total))

    def begin(self, first_step: int, total_steps: int, first_epoch: int, epochs: int) -> None:
        """Ignore the start."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Keep the energy."""
        self.totals.append(values["total"])

    def epoch(self, row: dict[str, float]) -> None:
        """Keep the row."""
        self.rows.append(row)

    def message(self, text: str) -> None:
        """Keep the line."""
        self.messages.append(text)


def run_lgt(*arguments: object) -> Result:
    """Run `lgt ARGUMENTS` in this process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    command = get_command(_build())
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def stopped_after(step: int, settings: Any, **arguments: Any) -> Any:
    """Run to `step` and no further, as after a request to stop; return the trainer."""
    run = trainer(settings, **arguments)
    run._any_process = lambda _: run.step == step  # type: ignore[method-assign]
    run.run()
    return run


def equal_states(a: Any, b: Any) -> bool:
    """Tell whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal_states(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal_states, a, b))
    return bool(a == b)


BARE: dict[str, Any] = {
    "texture_gain": 1.0,
    "color_gain": 1.0,
    "feature_gain": 0.0,
    "feature_content_gain": 0.0,
    "content_gain": 1.0,
    "content_patch_size": 1,
    "content_scales": [1],
    "w_identity": 0.0,
    "assigned_works": 2,
    "patch_dilations": [1],
}
"""Keys of `loss` by which bands and self-similarity have weight 1, and nothing else counts."""


def free_energy(bank: StyleBank, features: Any = None, **loss: Any) -> FreeEnergy:
    """Build the free energy of a bank as a configuration does: `BARE`, with keys changed.

    Args:
        bank: Its works; styles are called style0, style1, ...
        features: Maps latents to feature maps of two branches, or None.
        loss: Keys of `loss`.
    """
    names = [f"style{i}" for i in range(bank.num_styles)]
    settings = config_from_dict(
        {
            "loss": BARE | loss,
            "model": {"num_styles": len(names)},
            "data": {"style_subdirs": names},
        }
    )
    looked = None
    if features is not None:
        looked = SimpleNamespace(features=features, content=features, num_branches=2)
    return build_energy(settings, bank, looked)  # type: ignore[arg-type]
