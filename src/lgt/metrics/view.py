"""Photos at their own size, judged twice: reduced whole, and in windows at full size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from lgt.codec import LatentCodec
from lgt.codec.tiles import TiledCodec
from lgt.errors import InputError
from lgt.image import limit_side, open_image, opened, to_image
from lgt.metrics.bench import Data, WorkFolders, check_names, with_works, work_folders
from lgt.metrics.controls import cached_round_trip
from lgt.metrics.cuts import WINDOWS, Place, by_window, levels, square, window_places, windows
from lgt.metrics.features import Pictures
from lgt.metrics.folders import Problems, pictures_in, read_pictures, spread

LARGE = 560
"""Short side in pixels from which a work shows its strokes."""
TILE = 1024
"""Side of the codec's tiles in pixels; larger photos are cut, with the same result."""


@dataclass(frozen=True)
class FullSize:
    """Photos that are painted at their own size, or reduced to one."""

    view: int
    """Larger photos are reduced to it: longest side, in pixels."""
    size: int
    """Side of the squares that are measured, in pixels."""
    paths: Sequence[Path]
    names: list[str]
    sizes: Sequence[tuple[int, int]]
    """Width and height of each photo as it is painted."""
    places: Sequence[list[Place]]
    """Of the windows of each photo; they are the same for all results of it."""

    def photo(self, index: int) -> Image.Image:
        """Return a photo as it is painted."""
        return limit_side(open_image(self.paths[index]), self.view)

    def result(self, index: int, path: Path) -> Image.Image:
        """Read a result, which must have the photo's size."""
        picture = open_image(path)
        if picture.size != self.sizes[index]:
            (width, height), (wanted, high) = picture.size, self.sizes[index]
            raise InputError(
                f"{path}: is {width} x {height} pixels, but with --view {self.view} its photo is "
                f"painted at {wanted} x {high}; make the result at that size (lgt transfer: "
                f"--max_side {self.view}) or choose another --view"
            )
        return picture

    def cut(self, index: int, picture: Image.Image) -> tuple[Pictures, ...]:
        """Return the centred square, and the windows."""
        return square(picture, self.size), windows(picture, self.size, self.places[index])

    def round_trip(self, index: int, codec: LatentCodec, cache: Path | None) -> Image.Image:
        """Return a photo after the codec, at full size."""
        tiled: LatentCodec = TiledCodec(codec, TILE)
        return to_image(cached_round_trip(levels(self.photo(index)), tiled, cache)[0] / 255)

    def round_trips(self, codec: LatentCodec, cache: Path | None) -> tuple[Pictures, ...]:
        """Return the photos after the codec, which sees them at full size, as both cuts."""
        cut = [self.cut(i, self.round_trip(i, codec, cache)) for i in range(len(self.paths))]
        return tuple(by_window(part) for part in zip(*cut, strict=True))


@dataclass(frozen=True)
class View:
    """The pictures of an evaluation at full size."""

    subjects: FullSize
    reduced: Data
    windows: Data
    works: dict[str, list[Path]]
    """Style -> its large works, unseen in training."""


def read_view(
    photos: Path,
    styles: Path,
    train_styles: Path | None,
    problems: Problems,
    *,
    view: int,
    size: int,
    limit: int | None,
    max_works: int | None,
    only: Sequence[str],
) -> View:
    """Read what paintings at full size are judged by.

    Args:
        photos: See `lgt.metrics.bench.read_data`, as with `styles` and `train_styles`.
        view: Larger photos are reduced to it: longest side, in pixels.
        size: Side of the measured squares.
        limit: Most photos; None: all.
        max_works: Most works of a style from each folder; None: all.
        only: Styles to judge; empty: all.

    Raises:
        InputError: A folder is missing or empty, or a style has no large work.
    """
    if view < size:
        raise InputError(
            f"--view: must be at least --size, the side of the windows ({size}), got {view}"
        )
    folders = work_folders(photos, styles, train_styles)
    subjects, cut, notes = _read_photos(photos, problems, view, size, limit)
    reduced, detailed = (by_window(part) for part in zip(*cut, strict=True))

    def squares(folder: Path, what: str) -> Pictures:
        return read_pictures(spread(pictures_in(folder, what), max_works), size, problems)[0]

    works = _LargeWorks(view, size, max_works, problems)
    near = with_works(detailed, subjects.names, folders, works.read)
    _check_styles(near, folders, only, works)
    near.notes.extend(works.notes())
    whole = with_works(reduced, subjects.names, folders, squares, notes)
    problems.files[:] = dict.fromkeys(problems.files)  # Works are read once for each view.
    large = {style: works.taken[folders.unseen[style]] for style in near.unseen}
    return View(subjects, whole, near, large)


def _read_photos(
    folder: Path, problems: Problems, view: int, size: int, limit: int | None
) -> tuple[FullSize, list[tuple[Pictures, ...]], list[str]]:
    """Return the photos, the cuts of each, and notes; what is too small is left out."""
    subjects = FullSize(view, size, paths := [], names := [], sizes := [], places := [])
    cut, small = [], []
    for path in spread(pictures_in(folder, "--photos"), limit):
        try:
            picture = limit_side(open_image(path), view)
        except InputError as error:
            problems.files.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        if min(picture.size) < size:
            small.append(path.name)
            continue
        paths.append(path)
        names.append(path.stem)
        sizes.append(picture.size)
        places.append(window_places(picture, size))
        cut.append(subjects.cut(len(paths) - 1, picture))
    if not paths:
        raise InputError(
            f"--photos: none of the images in {folder} can be read and has a short side of {size} "
            f"pixels or more at --view {view}; take larger photos or a smaller --size"
        )
    check_names(names)
    notes = [f"photos left out, as they are smaller than a window: {', '.join(small)}"]
    return subjects, cut, notes if small else []


@dataclass
class _LargeWorks:
    """Reads windows of works that are large enough, and counts those that are not."""

    view: int
    size: int
    max_works: int | None
    problems: Problems
    left_out: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Folder -> how many works are too small, and the largest short side among them."""
    taken: dict[Path, list[Path]] = field(default_factory=dict)

    def read(self, folder: Path, what: str) -> Pictures:
        """Return the windows of a folder's large works; none of the files that can not be read.

        A work whose short side exceeds the view is reduced to it, as such a scan shows the cloth.
        """
        short = {path: _short_side(path) for path in pictures_in(folder, what)}
        small = [side for side in short.values() if 0 < side < max(LARGE, self.size)]
        if small:
            self.left_out[folder] = len(small), max(small)
        large = [path for path, side in short.items() if not 0 < side < max(LARGE, self.size)]
        cut = []
        self.taken[folder] = []
        for path in spread(large, self.max_works):
            try:
                picture = self._reduced(open_image(path))
            except InputError as error:
                self.problems.files.append((path, str(error).removeprefix(f"{path}: ")))
                continue
            cut.append(windows(picture, self.size, window_places(picture, self.size)))
            self.taken[folder].append(path)
        return by_window(cut) if cut else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)

    def _reduced(self, picture: Image.Image) -> Image.Image:
        short = min(picture.size)
        if short <= self.view:
            return picture
        return limit_side(picture, round(max(picture.size) * self.view / short))

    def notes(self) -> list[str]:
        """Return what was left out."""
        return [
            f"works left out of the windows, as their short side is below {max(LARGE, self.size)} "
            f"pixels: {count} in {folder}; taken: {len(self.taken[folder])}"
            for folder, (count, _) in self.left_out.items()
        ]


def _short_side(path: Path) -> int:
    """Return the short side of an image file by its header; 0 if it can not be read."""
    try:
        with opened(path) as image:
            return min(image.size)
    except (InputError, OSError):
        return 0


def _check_styles(
    data: Data, folders: WorkFolders, only: Sequence[str], works: _LargeWorks
) -> None:
    """Refuse to judge a style without large works; note one that merely does not compete."""
    absent = [style for style in folders.unseen if style not in data.unseen]
    judged = [style for style in absent if not only or style in only]
    if judged:
        folder = folders.unseen[judged[0]]
        largest = works.left_out.get(folder, (0, 0))[1]
        raise InputError(
            f"--view: no work in {folder} has a short side of {max(LARGE, works.size)} pixels or "
            f"more (the largest: {largest}); add larger works, or leave the style out with --only"
        )
    if absent:
        data.notes.append(f"without large works, not among the windows: {', '.join(absent)}")


def headings(view: int, size: int) -> tuple[str, str]:
    """Return what the two cuts are, in words."""
    return (
        f"Photos of {view} pixels, reduced to {size}",
        f"Windows of {size} pixels at full size, {WINDOWS} a photo",
    )
