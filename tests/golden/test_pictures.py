"""Nothing has drifted: the shipped model's pictures under every control, on both engines.

Stored are the means of 4 x 3 cells in each colour, which other processors move by less than a
level; `LGT_PICTURES=FOLDER` also writes the pictures there, to compare two versions by eye or to
the bit on one machine. A change that is meant runs `pytest tests/golden --update-golden` and gets a
line under "Numbers changed" in CHANGELOG.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lgt.inference import LGTInference
from lgt.paint.controls import Controls
from lgt.paint.engine import Engine
from lgt.paint.painter import Painter
from lgt.paint.picture import Picture
from lgt.paint.recipe import Recipe
from lgt.paint.torch_engine import TorchEngine
from lgt.runtime import Runtime

STORED = Path(__file__).with_name("pictures.json")
CELLS = (4, 3)
LEVELS = 1.0
"""Largest difference of a cell's mean, of 255."""

MONET: dict[str, float] = {"monet": 1.0}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "strength": {"strength": 0.4},
    "detail": {"detail": 0.0},
    "colours": {"preserve_color": True},
    "scale": {"style_scale": 2.0},
    "small": {"max_side": 40},
    "canvas": {"canvas": 40, "detail": 0.5},
    "repulsion": {"repulsion": 0.5},
    "blend": {"style": {"vangogh": 0.6, "ukiyoe": 0.4}},
    "mask": {"mask": True, "mask_feather": 2.0},
    "inverted": {"mask": True, "invert_mask": True},
    "detail_mask": {"detail_mask": True, "detail": 1.0},
    "region": {"regions": ({"durer": 1.0},)},
    "source": {"source_style": "photo"},
    "noise": {"seed": 3, "sampler": {"num_steps": 4, "temperature_lambda": 0.5}},
}


def photo() -> Image.Image:
    """Draw a scene: sky, sun, hills."""
    pixels = np.zeros((60, 84, 3), np.uint8)
    pixels[...] = np.linspace((90, 140, 220), (230, 200, 160), 60)[:, None]
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    draw.ellipse((56, 8, 70, 22), "gold")
    draw.polygon(((0, 60), (20, 26), (44, 52), (60, 34), (84, 60)), "darkgreen")
    return image


def mask() -> Picture:
    return Picture("mask.png", "", Image.linear_gradient("L").resize((84, 60)))


def painted(engine: Engine, given: dict[str, Any]) -> Image.Image:
    fields = {name: value for name, value in given.items() if name not in vars(Controls())}
    for name in ("mask", "detail_mask"):
        if fields.get(name):
            fields[name] = mask()
    fields["regions"] = tuple((mask(), style) for style in fields.get("regions", ()))
    fields["sampler"] = engine.sampler.changed(**fields.get("sampler", {}))
    controls = Controls(**{k: v for k, v in given.items() if k in vars(Controls())})
    recipe = Recipe(**{"style": MONET, "controls": controls, **fields})
    return Painter(engine).paint(photo(), recipe)


def cells(image: Image.Image) -> list[int]:
    small = image.convert("RGB").resize(CELLS, Image.Resampling.BOX)
    return np.asarray(small).flatten().tolist()


def keep(image: Image.Image, name: str) -> None:
    if folder := os.environ.get("LGT_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        image.save(Path(folder, f"{name}.png"))


def all_pictures() -> dict[str, Image.Image]:
    """Paint each recipe on both engines."""
    model = LGTInference(device="cpu")
    engines: dict[str, Engine] = {
        "torch": TorchEngine(model, model.load_codec()),
        "openvino": Runtime("embedded", "openvino", precision="fp32"),
    }
    return {
        f"{kind}_{name}": painted(engine, given)
        for kind, engine in engines.items()
        for name, given in RECIPES.items()
    }


@pytest.mark.slow
def test_pictures_are_those_of_before(
    update_golden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pictures = all_pictures()
    for name, image in pictures.items():
        keep(image, name)
    measured = {name: cells(image) for name, image in pictures.items()}
    if update_golden:
        STORED.write_text(json.dumps(measured) + "\n", encoding="utf-8")
        return
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert list(measured) == list(stored)
    for name, values in measured.items():
        worst = np.abs(np.subtract(values, stored[name])).max()
        assert worst <= LEVELS, f"{name}: a cell differs by {worst} levels"
    different = {tuple(values) for values in measured.values()}
    assert len(different) >= len(RECIPES) - 2  # Each control acts.
    for name in RECIPES:
        pair = [np.asarray(pictures[f"{kind}_{name}"], int) for kind in ("torch", "openvino")]
        assert np.abs(np.subtract(*pair)).max() <= 1, name
