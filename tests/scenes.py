"""Pictures that tests paint, and how far apart two are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from toys import config, write_model

from lgt.codec import DCTCodec
from lgt.inference import LGTInference

THREE = {"data.style_subdirs": ["photo", "paint", "ink"], "model.num_styles": 3}


def plain_model(folder: Path) -> LGTInference:
    """Return a model of three styles that draws no noise and has no guidance."""
    settings = config(THREE, inference__temperature_lambda=0.0, inference__use_cfg=False)
    return LGTInference(write_model(folder / "model.pt", settings), "cpu")


def smooth_picture(width: int = 41, height: int = 30, seed: int = 0) -> Image.Image:
    """Return a colourful picture with soft shapes and a little grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(20, 236, (5, 6, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype("uint8"))


def pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Make a folder of small pictures and return it."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((72, 64)).save(folder / f"{index}.png")
    return folder


def stylize(lgt: LGTInference, image: Image.Image, style: Any = "paint", **options: Any) -> Any:
    return lgt.stylize(image, style, codec=DCTCodec(4), seed=0, **options)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float)


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.sqrt(np.square(array(a) - array(b)).mean()))


def picture(width: int = 72, height: int = 44) -> Image.Image:
    """Return soft shapes."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (5, 8, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def difference(a: Image.Image, b: Image.Image) -> Any:
    """Return the distance of each value, of pictures of one size and mode."""
    assert (a.size, a.mode) == (b.size, b.mode)
    return np.abs(np.asarray(a, int) - np.asarray(b, int))
