"""Outputs to judge: from a folder of results, or made by a model."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lgt.codec import LatentCodec
from lgt.errors import InputError
from lgt.image import save_image
from lgt.metrics.cuts import by_window
from lgt.metrics.features import Pictures
from lgt.metrics.folders import find_results, style_folders
from lgt.metrics.subjects import Subjects
from lgt.paint.transfer import LGTInference

COST_FILE = "cost.json"
"""In a folder of results, optional: `seconds_per_image`, `peak_memory_mib`."""


@dataclass
class Outputs:
    """Pictures of one method, and what they cost."""

    views: tuple[dict[str, Pictures], ...]
    """For each view: style -> pictures in the photos' order."""
    cost: dict[str, float]
    files: dict[str, list[Path]] = field(default_factory=dict)
    """Style -> the whole pictures, in the photos' order."""


def read_results(folder: Path, subjects: Subjects, styles: Sequence[str]) -> Outputs:
    """Read a folder of results, one folder per style, one picture per photo.

    Raises:
        InputError: No folder of a style that is judged, or a photo has no readable result, or one
            of another size than it must have.
    """
    folders = style_folders(folder, "results")
    chosen = [style for style in styles if style in folders]
    if not chosen:
        raise InputError(
            f"{folder}: has folders {', '.join(folders)}, but none of the styles "
            f"{', '.join(styles)}"
        )
    files = {style: find_results(folders[style], subjects.names) for style in chosen}
    cut = {style: [_read(subjects, *each) for each in enumerate(files[style])] for style in chosen}
    return Outputs(_views(cut), _read_cost(folder / COST_FILE), files)


def _read(subjects: Subjects, index: int, path: Path) -> tuple[Pictures, ...]:
    try:
        result = subjects.result(index, path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"a result can not be taken: {path}: {reason}") from error
    return subjects.cut(index, result)


def _views(cut: Mapping[str, Sequence[tuple[Pictures, ...]]]) -> tuple[dict[str, Pictures], ...]:
    """Return the pictures of each view by style, from the cuts of each picture by style."""
    joined = {s: [by_window(part) for part in zip(*all_, strict=True)] for s, all_ in cut.items()}
    depth = range(len(next(iter(joined.values()))))
    return tuple({style: parts[i] for style, parts in joined.items()} for i in depth)


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
    subjects: Subjects,
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
    seconds, count = 0.0, len(subjects.names)
    cut: dict[str, list[tuple[Pictures, ...]]] = {style: [] for style in chosen}
    files = {style: [folder / style / f"{name}.png" for name in subjects.names] for style in chosen}
    model.stylize(subjects.photo(0), chosen[0], codec=codec, source_style=own, seed=seed)  # warm up
    for index in range(count):
        image = subjects.photo(index)
        for style in chosen:
            began = time.perf_counter()
            result = model.stylize(image, style, codec=codec, source_style=own, seed=seed)
            seconds += time.perf_counter() - began
            save_image(result, files[style][index])
            cut[style].append(subjects.cut(index, result))
    cost = {"seconds_per_image": seconds / (len(chosen) * count)}
    memory = peak_memory_mib()
    if memory is not None:
        cost["peak_memory_mib"] = memory
    (folder / COST_FILE).write_text(json.dumps(cost) + "\n", encoding="utf-8")
    return Outputs(_views(cut), cost, files)


def peak_memory_mib() -> float | None:
    """Return the most memory that the process had so far; None where it can not be told."""
    if os.name != "posix":
        return None
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
