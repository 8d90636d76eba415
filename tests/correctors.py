"""Models whose corrector is taught in tests, at squares that are quickly seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from toys import picture

from lgt import LGTInference
from lgt.image import save_image
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, LGTUNet

SIDE = 264
"""Of the squares that these models learn from, in pixels: a little more than a window."""
STYLE = "ukiyoe"


def small_model(path: Path, *, has_corrector: bool) -> Path:
    """Write the model inside the package as if it had been trained at `SIDE`."""
    found = Checkpoint.load(find_model("embedded"))
    weights, config = found.inference_weights, found.config
    if not has_corrector:
        model = config.model.model_copy(update={"num_corrector_blocks": 0})
        config = config.model_copy(update={"model": model})
        weights = {n: t for n, t in weights.items() if not n.startswith("corrector.")}
    shape = (found.latent_shape[0], SIDE // 8, SIDE // 8)
    replace(found, config=config, network=weights, ema=None, latent_shape=shape).save(path)
    return path


def photo_folder(folder: Path) -> Path:
    """Write a photo."""
    save_image(picture(5, (SIDE, SIDE)), folder / "a.png")
    return folder


def ends(model: str | Path, x: Tensor, style: int) -> Tensor:
    """Return where a model's one step leads."""
    return ends_of(LGTInference(model, "cpu").network, x, style)


def ends_of(network: LGTUNet, x: Tensor, style: int) -> Tensor:
    """Return where a network's one step leads."""
    with torch.inference_mode():
        condition = network.condition(torch.tensor([style]), torch.tensor([NULL_STYLE]))
        end: Tensor = x + network.velocity(x, torch.zeros(1), condition)
    return end


def changed_parts(model: str | Path, out: Path) -> set[str]:
    """Return the first parts of the names of weights that are not as they were."""
    before = LGTInference(model, "cpu").network.state_dict()
    after = Checkpoint.load(out).network
    return {
        name.split(".")[0]
        for name, value in after.items()
        if name not in before or not torch.equal(value, before[name])
    }
