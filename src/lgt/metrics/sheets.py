"""Pictures at full size side by side: what a person should look at beside the numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

from lgt.codec import LatentCodec
from lgt.image import limit_side, open_image, picture_sheet, save_image
from lgt.metrics.folders import spread
from lgt.metrics.results import Outputs
from lgt.metrics.view import FullSize

PHOTOS = 3
"""Photos on a sheet."""


def write_sheets(
    folder: Path,
    subjects: FullSize,
    made: Mapping[str, Outputs],
    works: Mapping[str, Sequence[Path]],
    codec: LatentCodec,
    seed: int,
    cache: Path | None,
) -> Iterator[Path]:
    """Write a sheet for each style and yield its path: STYLE.png, photos down.

    Across: the photo, the codec's round trip, every method's result, a random large work.

    Args:
        folder: Where to; made if missing.
        subjects: The photos.
        made: Name of a row -> its results.
        works: Style -> large works.
        codec: Of the round trip.
        seed: Of the choice of works.
        cache: Folder that keeps round trips.
    """
    which = spread(range(len(subjects.names)), PHOTOS)
    trips = {index: subjects.round_trip(index, codec, cache) for index in which}
    for style, paths in works.items():
        rivals = {
            name: outputs.files[style] for name, outputs in made.items() if style in outputs.files
        }
        shuffled = random.Random(f"{seed} sheet {style}").sample(list(paths), len(paths))
        labels = ["photo", "codec", *rivals, "a work"]
        pictures = []
        for index, path in zip(which, cycle(shuffled), strict=False):
            work = limit_side(open_image(path), subjects.view)
            results = [open_image(files[index]) for files in rivals.values()]
            pictures += [subjects.photo(index), trips[index], *results, work]
        sheet = picture_sheet(
            pictures, labels * len(which), columns=len(labels), max_side=subjects.view
        )
        target = folder / f"{style}.png"
        save_image(sheet, target)
        yield target
