"""Everything that outputs are compared with: photos, works, unseen works, and what counts as 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lgt.errors import InputError
from lgt.metrics.features import Measured, Measurer, Pictures
from lgt.metrics.folders import Problems, pictures_in, read_pictures, spread, style_folders
from lgt.metrics.judge import Factors, Referee, Target, judge

Array = NDArray[np.float64]
PHOTO = "/photo"
"""The class of photos; no folder has such a name."""


@dataclass(frozen=True)
class Data:
    """The pictures of an evaluation, all of one size."""

    photos: Pictures
    """One a photo; where there are several windows, the first of all photos, then the second."""
    names: list[str]
    """Of the photos, without suffix."""
    unseen: dict[str, Pictures]
    """Works of each style that training did not see."""
    seen: dict[str, Pictures]
    """Works of each style that it saw; empty if there is no such folder."""
    photo_examples: Pictures
    """Photos that stand for the class `photo`."""
    notes: list[str] = field(default_factory=list)


def read_data(
    photos: Path,
    styles: Path,
    train_styles: Path | None,
    problems: Problems,
    *,
    size: int = 256,
    limit: int | None = None,
    max_works: int | None = 200,
) -> Data:
    """Read the pictures of an evaluation.

    Args:
        photos: Folder of photos. A folder of the same name among the styles holds photos too.
        styles: Folder with one folder of unseen works per style.
        train_styles: The same of works that training saw; None: all works count as unseen.
        problems: Takes what can not be read.
        size: Side of the centred squares, in pixels.
        limit: Most photos; None: all.
        max_works: Most works of a style from each folder; None: all.
    """
    folders = work_folders(photos, styles, train_styles)
    pixels, names = read_pictures(spread(pictures_in(photos, "--photos"), limit), size, problems)
    check_names(names)

    def works(folder: Path, what: str) -> Pictures:
        return read_pictures(spread(pictures_in(folder, what), max_works), size, problems)[0]

    return with_works(pixels, names, folders, works)


def check_names(names: Sequence[str]) -> None:
    """Refuse photos whose results would have one name."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--photos: two photos are named {twice}; results could not be told apart")


@dataclass(frozen=True)
class WorkFolders:
    """Where the works lie."""

    unseen: dict[str, Path]
    seen: dict[str, Path]
    photo_examples: Path | None
    """Photos that are none of those to be painted."""
    notes: list[str]


def work_folders(photos: Path, styles: Path, train_styles: Path | None) -> WorkFolders:
    """Find the folders of works; see :func:`read_data`."""
    folders, notes = style_folders(styles, "--styles"), []
    trained = style_folders(train_styles, "--train_styles") if train_styles else {}
    examples = trained.pop(photos.name, None)
    folders.pop(photos.name, None)
    if not folders:
        raise InputError(f"--styles: {styles} has no folder but that of the photos")
    if examples is None or examples.resolve() == photos.resolve():
        notes.append(
            f"no folder {photos.name} in --train_styles: the photos themselves stand for the class"
        )
    return WorkFolders(folders, {n: trained[n] for n in folders if n in trained}, examples, notes)


def with_works(
    photos: Pictures,
    names: list[str],
    folders: WorkFolders,
    works: Callable[[Path, str], Pictures],
    notes: Sequence[str] = (),
) -> Data:
    """Read the works of an evaluation.

    Args:
        photos: See :class:`Data`.
        names: Of the photos.
        folders: Where the works lie.
        works: Reads a folder; is also told what the folder is, for messages. Nothing read: the
            folder counts as absent.
        notes: Further notes.
    """
    read = {name: works(folder, "--styles") for name, folder in folders.unseen.items()}
    unseen = {name: pictures for name, pictures in read.items() if len(pictures)}
    trained = {name: works(folders.seen[name], "--train_styles") for name in folders.seen}
    seen = {name: trained[name] for name in unseen if len(trained.get(name, ()))}
    noted = [*folders.notes, *notes]
    absent = sorted(set(unseen) - set(seen))
    if absent:
        noted.append(f"all works count as unseen, and train the discriminant: {', '.join(absent)}")
    folder = folders.photo_examples
    examples = photos if folder is None else works(folder, "--train_styles")
    if not len(examples):
        noted.append(f"nothing in {folder} can stand for the class of photos: the photos do")
        examples = photos
    return Data(photos, names, unseen, seen, examples, noted)


class Bench:
    """Photos and styles, measured; outputs are judged against them.

    Args:
        data: The pictures.
        measurer: Measures pictures.
        styles: Styles to judge; None: all. All of them compete for the outputs in any case.
    """

    def __init__(self, data: Data, measurer: Measurer, styles: Sequence[str] | None = None) -> None:
        unknown = sorted(set(styles or ()) - set(data.unseen))
        if unknown:
            raise InputError(f"no folder of works for {', '.join(unknown)} in --styles")
        self.data, self.measurer = data, measurer
        self.styles = list(styles or data.unseen)
        self.sources = measurer.sources(data.photos)
        self.unrelated = measurer.unrelated(self.sources, num_photos=len(data.names))
        self.photos = measurer.measure(data.photos, self.sources, keep=True)
        unseen = {s: measurer.measure(p, keep=True) for s, p in data.unseen.items()}
        seen = {s: measurer.measure(p, keep=True) for s, p in data.seen.items()}
        examples = {s: seen.get(s, unseen[s]) for s in unseen}
        photo_examples = measurer.measure(data.photo_examples, keep=True)
        self.referee = Referee({PHOTO: photo_examples, **examples})
        self.works = {s: _half_and_half(unseen[s], seen.get(s)) for s in self.styles}
        self.targets = {s: Target(works) for s, works in self.works.items()}
        self._photo_distances: dict[tuple[str, bytes], dict[str, Array]] = {}

    def real_pictures(self, style: str) -> Pictures:
        """Return the works that stand for a style: unseen ones, and as many seen ones."""
        unseen = self.data.unseen[style]
        if style not in self.data.seen:
            return unseen
        return torch.cat([unseen, *_matching(self.data.seen[style], len(unseen))])

    def photo_distances(self, style: str, weights: Array | None = None) -> dict[str, Array]:
        """Return the photos' Frechet distances to a style: what counts as 1."""
        key = style, b"" if weights is None else weights.tobytes()
        if key not in self._photo_distances:
            self._photo_distances[key] = self.targets[style].distances(self.photos, weights)
        return self._photo_distances[key]

    def factors(
        self,
        style: str,
        outputs: Measured,
        hits: Mapping[str, Array],
        weights: Array | None = None,
    ) -> Factors:
        """Judge the outputs of one style; see `lgt.metrics.judge.judge`."""
        distances = self.photo_distances(style, weights)
        return judge(outputs, hits, self.targets[style], distances, self.unrelated, weights)


def _matching(pictures: Pictures, count: int) -> list[Pictures]:
    return [pictures[i : i + 1] for i in spread(range(len(pictures)), count)]


def _half_and_half(unseen: Measured, seen: Measured | None) -> Measured:
    if seen is None:
        return unseen
    return Measured.join([unseen, seen[spread(range(len(seen)), len(unseen))]])
