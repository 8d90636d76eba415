"""On a GPU nothing meets what was left on the CPU: training, new styles and painting.

A pretended GPU stands for one, so that these run on every machine; see `pretended.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import Recorder, config, write_model

from lgt.codec import DCTCodec, load_codec
from lgt.config import Config, config_from_dict
from lgt.config.load import config_to_dict, load_config
from lgt.data.dataset import LatentDataset
from lgt.inference import LGTInference
from lgt.train import Checkpoint, Trainer
from lgt.train.new_style import LearningPlan, StyleLearner
from pretended import pretended_gpu

SIDE = 8
PER_STYLE = 3
ROOT = Path(__file__).resolve().parents[2]


def tiny(values: dict[str, Any], folder: Path) -> Config:
    """Make a configuration small, and its folders those of a test; all else stays."""
    model, loss, training = (values.setdefault(key, {}) for key in ("model", "loss", "training"))
    model |= {"base_channels": 8, "style_dim": 8, "time_dim": 8}
    loss |= {"num_projections": 4, "max_samples": 64, "collection_memory": 2}
    if loss.get("works_root"):
        loss["works_root"] = str(folder / "raw")
    training |= {"batch_size": 6, "steps_per_epoch": 3, "num_epochs": 1}
    values.setdefault("checkpoint", {})
    values["checkpoint"] |= {"save_dir": str(folder / "run"), "save_every": 1, "num_samples": 2}
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


def train(settings: Config, tmp_path: Path) -> None:
    """Train an epoch on the pretended GPU, its checks, sheet and checkpoint included; resume."""
    dataset, recorder = latents_for(settings), Recorder.new()
    draw_pictures(tmp_path / "raw", dataset.style_names)
    with pretended_gpu():
        run = Trainer(settings, dataset, device="cuda", reporter=recorder)
        assert {p.device.type for p in run.network.parameters()} == {"cuda"}
        assert run.run() is None
    heard = [text for text in recorder.messages if not text.startswith(("measuring", "no perc"))]
    assert heard == [], "a sheet or a record that fails is told, not raised"
    assert len(recorder.totals) == 3
    assert (tmp_path / "run" / "samples" / "epoch_0001.png").is_file()
    with pretended_gpu():
        saved = Checkpoint.load(tmp_path / "run" / "latest.pt")
        longer = settings.model_copy(
            update={"training": settings.training.model_copy(update={"num_epochs": 2})}
        )
        run = Trainer(longer, dataset, device="cuda", checkpoint=saved, reporter=recorder)
        run._advance()


EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.json"))


@pytest.mark.parametrize("name", [*EXAMPLES, "defaults"])
def test_every_configuration_trains(name: str, tmp_path: Path) -> None:
    whole = Config() if name == "defaults" else load_config(ROOT / "examples" / name)
    train(tiny(config_to_dict(whole), tmp_path), tmp_path)
