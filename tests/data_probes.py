"""Quantities that keys about the training's data are seen by, as those of `probes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import make_images, trainer

from lgt.config import Config
from lgt.data.dataset import LatentDataset
from lgt.data.preprocess import preprocess_folder
from lgt.train.objective import FreeEnergyObjective


def held(settings: Config) -> bool:
    """Tell whether latents of shards are held in memory."""
    styles = settings.data.style_subdirs
    raw = make_images(Path("raw"), [f"{style}/{n}.png" for style in styles for n in range(2)])
    preprocess_folder(raw, "latents", target_size=32, codec="dct:4", is_sharded=True)
    keys = settings.data
    found = LatentDataset.from_config("latents", styles, 4, in_memory=keys.in_memory)
    return isinstance(found.latents, torch.Tensor)


def painted_side(settings: Config) -> int:
    """Return the side of what a step of training paints."""
    sides: list[int] = []
    energy_of = FreeEnergyObjective.energy_of
    with pytest.MonkeyPatch.context() as patch:

        def spy(self: FreeEnergyObjective, x_1: torch.Tensor, *rest: Any) -> Any:
            sides.append(x_1.shape[-1])
            return energy_of(self, x_1, *rest)

        patch.setattr(FreeEnergyObjective, "energy_of", spy)
        trainer(settings)._advance()
    return sides[0]
