"""Outputs to judge: from a folder of results, or made by a model."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lgt.codec import LatentCodec
from lgt.errors import InputError
from lgt.image import save_image, to_image, to_tensor
from lgt.metrics.bench import Data
from lgt.metrics.features import Pictures
from lgt.metrics.folders import Problems, find_results, read_pictures, style_folders
from lgt.paint.transfer import LGTInference

COST_FILE = "cost.json"
"""In a folder of results, optional: `seconds_per_image`, `peak_memory_mib`."""


@dataclass
class Outputs:
    """Pictures of one method by style, in the photos' order, and what they cost."""

    pictures: dict[str, Pictures]
    cost: dict[str, float]


def read_results(
    folder: Path, data: Data, styles: Sequence[str], size: int, problems: Problems
) -> Outputs:
    """Read a folder of results, one folder per style, one picture per photo.

    Raises:
        InputError: No folder of a style that is judged, or a photo has no readable result.
    """
    folders = style_folders(folder, "results")
    chosen = [style for style in styles if style in folders]
    if not chosen:
        raise InputError(
            f"{folder}: has folders {', '.join(folders)}, but none of the styles "
            f"{', '.join(styles)}"
        )
    pictures = {}
    for style in chosen:
        before = len(problems.files)
        pixels, _ = read_pictures(find_results(folders[style], data.names), size, problems)
        if len(problems.files) > before:
            path, reason = problems.files[before]
            raise InputError(f"a result can not be read: {path}: {reason}")
        pictures[style] = pixels
    return Outputs(pictures, _read_cost(folder / COST_FILE))


def _read_cost(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    try:
        return {name: float(value) for name, value in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f'{path}: expected numbers by name, as in {{"seconds_per_image": 0.5}} ({error})'
        ) from error


def style_photos(
    model: LGTInference,
    codec: LatentCodec,
    data: Data,
    styles: Sequence[str],
    folder: Path,
    seed: int,
) -> Outputs:
    """Give every photo every style, keep the pictures in a folder, and note time and memory.

    The time is that of one picture at once, from pixels to pixels.

    Raises:
        InputError: The model has none of the styles.
    """
    chosen = [style for style in styles if style in model.style_names]
    if not chosen:
        raise InputError(
            f"the model has the styles {', '.join(model.style_names)}, but the works are of "
            f"{', '.join(styles)}"
        )
    own = "photo" if "photo" in model.style_names else None
    images = [to_image(photo.float() / 255) for photo in data.photos]
    model.stylize(images[0], chosen[0], codec=codec, source_style=own, seed=seed)  # warm up
    pictures, seconds = {}, 0.0
    for style in chosen:
        parts = []
        for name, image in zip(data.names, images, strict=True):
            began = time.perf_counter()
            result = model.stylize(image, style, codec=codec, source_style=own, seed=seed)
            seconds += time.perf_counter() - began
            save_image(result, folder / style / f"{name}.png")
            parts.append((to_tensor(result) * 255).round().to(torch.uint8))
        pictures[style] = torch.cat(parts)
    cost = {"seconds_per_image": seconds / (len(chosen) * len(images))}
    memory = peak_memory_mib()
    if memory is not None:
        cost["peak_memory_mib"] = memory
    (folder / COST_FILE).write_text(json.dumps(cost) + "\n", encoding="utf-8")
    return Outputs(pictures, cost)


def peak_memory_mib() -> float | None:
    """Return the most memory that the process had so far; None where it can not be told."""
    if os.name != "posix":
        return None
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
