"""A configuration fitted to folders of pictures: their styles, and a size at which strokes show."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from lgt.config.load import config_from_dict, config_to_dict
from lgt.config.schema import Config
from lgt.data.sources import check_raw_root, find_styles
from lgt.errors import InputError
from lgt.image import opened

PHOTOS = ("photo", "photos", "photographs")
"""Names of the folder of photos, of which the first found is taken."""
SIZES = (512, 256)
"""Sides of the pictures that are trained on; enlarged works would teach the blur of enlarging."""
LOOKED_AT = 128
"""Pictures of a style whose sizes are read."""
PIXELS_OF_CROP = 16
"""Pixels of a picture's side to each position of `loss.feature_crop`: latents have one for 8, and
half of their side is looked at."""


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
    check_raw_root(root)
    found = find_styles(root)
    chosen = photos or next((name for name in PHOTOS if name in found), None)
    if chosen not in found:
        raise InputError(
            f"--photos: no folder '{photos or PHOTOS[0]}' with pictures in {root} (there are: "
            f"{', '.join(found) or 'none'}); name the one of the photos with --photos"
        )
    works = {name: images for name, images in found.items() if name != chosen}
    if not works:
        raise InputError(
            f"raw_data_root: {root} holds the photos alone ({chosen}); put the works of each style "
            "into a folder of its own beside them"
        )
    short_side = round(statistics.median(_short_sides(root, works)))
    size = next((size for size in SIZES if short_side >= size), SIZES[-1])
    values = config_to_dict(config)
    values["model"]["num_styles"] = len(found)
    values["data"] |= {"style_subdirs": [chosen, *works], "source_subdirs": [chosen]}
    values["loss"]["content_by_style"] = {}
    # Shares are of the preset's own styles; that of its photos is that of any.
    shares, own = config.training.target_shares, next(iter(config.data.source_subdirs), "")
    values["training"]["target_shares"] = {chosen: shares[own]} if own in shares else {}
    if values["loss"]["works_root"]:
        values["loss"] |= {"works_root": str(root), "feature_crop": size // PIXELS_OF_CROP}
    return Fitted(config_from_dict(values), size, short_side)


def _short_sides(root: Path, works: dict[str, list[str]]) -> list[int]:
    sides = []
    for images in works.values():
        for name in images[:LOOKED_AT]:
            try:
                with opened(root / name) as image:
                    sides.append(min(image.size))
            except Exception:  # `lgt preprocess` reports what it can not read.
                continue
    if not sides:
        raise InputError(f"raw_data_root: none of the works in {root} can be read")
    return sides
