"""A configuration fitted to folders of pictures: their styles, and a size at which strokes show."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lgt.config.load import config_from_dict, config_to_dict
from lgt.errors import InputError
from lgt.image import pictures_among, visible_files
from lgt.image.folders import is_hidden

if TYPE_CHECKING:
    from lgt.config.schema import Config

PHOTOS = ("photo", "photos", "photographs", "trainA")
"""Names of the folder of photos, of which the first found is taken."""
SIZES = (512, 256)
"""Sides of the pictures that are trained on; enlarged works would teach the blur of enlarging."""
LOOKED_AT = 128
"""Pictures of a style whose sizes are read."""
PIXELS_OF_WINDOWS = 2 * 8
"""Pixels of a side for each latent position of the windows that features are taken of: half."""


@dataclass(frozen=True)
class Fitted:
    """A configuration, and what was seen."""

    config: Config
    target_size: int
    """Side for `lgt preprocess --target_size`."""
    short_side: int
    """Median of the works' short sides, in pixels."""


def fit_to_folders(config: Config, root: Path, photos: str | None = None) -> Fitted:
    """Return a configuration with the styles of `root`, its pictures and a size that suits them.

    Args:
        config: What all else is taken of.
        root: One folder of pictures a style, as `lgt preprocess` reads it.
        photos: The style that is painted over; None: the folder called so.

    Raises:
        InputError: There are fewer than two styles, none holds the photos, or one has no picture.
    """
    if not root.is_dir():
        raise InputError(f"--raw_data_root: no such folder: {root}")
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and not is_hidden(p.name))
    if len(names) < 2:
        raise InputError(
            f"--raw_data_root: {root} holds {len(names)} folders; one of photos and one or more of "
            "works are needed, each a style"
        )
    chosen = photos or next((name for name in PHOTOS if name in names), None)
    if chosen not in names:
        raise InputError(
            f"--photos: no folder of photos among {', '.join(names)}; name it with --photos"
        )
    sides = [side for name in names if name != chosen for side in _short_sides(root / name)]
    short_side = round(statistics.median(sides))
    size = next((size for size in SIZES if short_side >= size), SIZES[-1])
    styles = [chosen, *(name for name in names if name != chosen)]
    values = config_to_dict(config)
    values["model"]["num_styles"] = len(styles)
    values["data"] |= {"style_subdirs": styles, "source_subdirs": [chosen]}
    values["loss"]["content_by_style"] = {}
    values["training"]["target_shares"] = {chosen: 0.5}
    if values["loss"]["works_root"]:
        values["loss"] |= {"works_root": str(root), "feature_crop": size // PIXELS_OF_WINDOWS}
    return Fitted(config_from_dict(values), size, short_side)


def _short_sides(folder: Path) -> list[int]:
    sides = []
    for path in sorted(pictures_among(visible_files(folder)))[:LOOKED_AT]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except Exception:  # `lgt preprocess` reports it.
            continue
    if not sides:
        raise InputError(f"--raw_data_root: {folder} holds no picture that can be read")
    return sides
