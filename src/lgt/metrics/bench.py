"""Everything that outputs are compared with: photos, works, unseen works, and what counts as 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    folders, notes = style_folders(styles, "--styles"), []
    trained = style_folders(train_styles, "--train_styles") if train_styles else {}
    pixels, names = read_pictures(spread(pictures_in(photos, "--photos"), limit), size, problems)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--photos: two photos are named {twice}; results could not be told apart")

    def works(folder: Path, what: str) -> Pictures:
        return read_pictures(spread(pictures_in(folder, what), max_works), size, problems)[0]

    examples = trained.pop(photos.name, None)
    folders.pop(photos.name, None)
    if not folders:
        raise InputError(f"--styles: {styles} has no folder but that of the photos")
    if examples is None or examples.resolve() == photos.resolve():
        notes.append(
            f"no folder {photos.name} in --train_styles: the photos themselves stand for the class"
        )
    unseen = {name: works(folder, "--styles") for name, folder in folders.items()}
    seen = {name: works(trained[name], "--train_styles") for name in folders if name in trained}
    absent = sorted(set(folders) - set(seen))
    if absent:
        notes.append(f"all works count as unseen, and train the discriminant: {', '.join(absent)}")
    photo_examples = pixels if examples is None else works(examples, "--train_styles")
    return Data(pixels, names, unseen, seen, photo_examples, notes)


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
        self.unrelated = measurer.unrelated(self.sources)
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
