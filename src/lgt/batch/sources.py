"""Which photos and videos to paint, and a name of its own for every result."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from lgt.errors import InputError
from lgt.files import fitted_name, is_folder, real_path
from lgt.image import (
    IMAGE_SUFFIXES,
    LeftOut,
    left_out,
    left_out_among,
    pictures_among,
    visible_files,
)
from lgt.image.moving import FRAMED_SUFFIXES, VIDEO_SUFFIXES, is_video, result_suffix
from lgt.paint.picture import STREAM
from lgt.stores import address_of, names_in, shown


@dataclass(frozen=True)
class PhotoFile:
    """A photo, or a video, to paint."""

    path: Path
    name: str
    """Where it lies below its folder, with forward slashes; results keep the sub-folders."""
    is_named: bool = False
    """Whether it was given by itself, not found in a folder or by a pattern."""
    is_video: bool = False
    """Whether it is a video or a picture of several frames."""


@dataclass(frozen=True)
class Work:
    """A photo and the pictures to paint of it."""

    photo: PhotoFile
    outputs: Mapping[str, Path]
    """Where the picture of each recipe goes, by its label."""


def is_pattern(path: Path) -> bool:
    """Tell a pattern such as `trip/*.jpg` from the name of a file."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def find_photos(
    inputs: Sequence[Path],
    *,
    recursive: bool = False,
    without: Path | None = None,
    with_videos: bool = False,
) -> list[PhotoFile]:
    """Return the photos of files, folders and patterns, each once, in order.

    Args:
        inputs: Files are taken as they are, also where there is none of the name. Of folders and
            patterns the image files count, hidden ones left out; `**` in a pattern is any depth.
        recursive: Also search the sub-folders of folders.
        without: Folder of results, which are no photos.
        with_videos: Also take videos, and animated GIFs as videos.

    Raises:
        InputError: A folder or a pattern gives no photo, or a folder is that of the results.
    """
    moving = VIDEO_SUFFIXES | FRAMED_SUFFIXES
    suffixes = IMAGE_SUFFIXES | moving if with_videos else IMAGE_SUFFIXES
    found: dict[str, tuple[Path, Path, bool]] = {}
    for given in inputs:
        photos = list(_expand(given, suffixes, recursive=recursive, without=without))
        if not photos:
            raise InputError(_nothing(given, suffixes, recursive=recursive))
        for path, root in photos:
            is_named = path == given
            found.setdefault(str(real_path(path)), (path, root, is_named))
    names = _names([(path, root) for path, root, _ in found.values()])
    return [
        PhotoFile(path, name, is_named, with_videos and not address_of(path) and is_video(path))
        for (path, _, is_named), name in zip(found.values(), names, strict=True)
    ]


def find_left_out(
    inputs: Sequence[Path], *, recursive: bool = False, without: Path | None = None
) -> list[LeftOut]:
    """Return what of folders and patterns is a picture, or a link to none, and is not taken.

    Args:
        inputs: See :func:`find_photos`.
        recursive: See :func:`find_photos`.
        without: Folder of results, whose files are not looked at.
    """
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    found: list[LeftOut] = []
    for given in inputs:
        if is_folder(given):
            found += left_out(given, recursive=recursive, suffixes=suffixes)
        elif is_pattern(given):
            found += left_out_among(_matches(given), suffixes)
    if without is None:
        return found
    barrier = real_path(without)
    return [each for each in found if not real_path(each[0]).is_relative_to(barrier)]


def plan_works(
    photos: Sequence[PhotoFile], slugs: Mapping[str, str], folder: Path, suffix: str = ".png"
) -> list[Work]:
    """Decide where each picture goes: `FOLDER/SUB/PHOTO_STYLE.png`; videos keep their suffix.

    Where two pictures would share a file (`a.jpg` beside `a.png`), both photos keep their full
    names: `a.jpg_STYLE.png`. Names that differ in case only count as shared; what still is gets a
    number. A photo that a pattern or folder gives and that another one's result would replace is
    an earlier result, and left out.

    Args:
        photos: What to paint.
        slugs: How each recipe's label is written in a file's name, by label.
        folder: Where the results go.
        suffix: Of the pictures.

    Raises:
        InputError: A result would replace a photo.
    """
    stems = {photo.name: str(PurePosixPath(photo.name).with_suffix("")) for photo in photos}
    suffixes = {p.name: result_suffix(p.path) if p.is_video else suffix for p in photos}

    def results(name: str, stem: str) -> dict[str, str]:
        above, _, last = stem.rpartition("/")
        ends = {label: f"_{slug}{suffixes[name]}" for label, slug in slugs.items()}
        return {
            label: str(PurePosixPath(above, fitted_name(last, end))) for label, end in ends.items()
        }

    def folded(name: str, stem: str) -> set[str]:
        return {result.casefold() for result in results(name, stem).values()}

    while True:
        owners = Counter(chain.from_iterable(folded(*item) for item in stems.items()))
        shared = [
            name
            for name, stem in stems.items()
            if stem != name and any(owners[result] > 1 for result in folded(name, stem))
        ]
        if not shared:
            break
        stems.update((name, name) for name in shared)
    taken: set[str] = set()
    works = []
    for photo in photos:
        stem, number = stems[photo.name], 1
        while taken & (own := folded(photo.name, stem)):
            number += 1
            stem = f"{stems[photo.name]}~{number}"
        taken |= own
        outputs = {label: folder / result for label, result in results(photo.name, stem).items()}
        works.append(Work(photo, outputs))
    written = {real_path(path) for work in works for path in work.outputs.values()}
    rest = [photo for photo in photos if real_path(photo.path) not in written]
    if len(rest) == len(photos):
        return works
    for photo in photos:
        if photo.is_named and photo not in rest:
            raise InputError(
                f"{photo.path}: the result of another photo would replace it; choose another OUT"
            )
    return plan_works(rest, slugs, folder, suffix)


def check_folders(inputs: Sequence[Path], folder: Path) -> None:
    """Refuse a folder of photos as the folder of results.

    Raises:
        InputError: They are the same.
    """
    for given in inputs:
        if (is_folder(given) or address_of(given)) and real_path(given) == real_path(folder):
            raise InputError(
                f"{shown(folder)}: is the folder of the photos, too; choose another OUT, such as "
                f"{shown(folder / 'painted')}"
            )


def _expand(
    given: Path, suffixes: Set[str], *, recursive: bool, without: Path | None
) -> Iterator[tuple[Path, Path]]:
    """Yield the photos of one input, with the folder that their names start from."""
    if (address := address_of(given)) is not None:
        paths, root = [given / n for n in names_in(address, recursive=recursive)], given
    elif is_folder(given):
        paths, root = visible_files(given, recursive=recursive), given
    elif is_pattern(given):
        paths, root = _matches(given), Path(*_before_magic(given.parent.parts))
    else:
        yield given, given.parent
        return
    barrier = None if without is None else real_path(without)
    # Where photos and results share a folder, `plan_works` tells them apart.
    if barrier == real_path(root):
        barrier = None
    # Of a store only pictures are taken, as they can be read whole.
    wanted = suffixes if address is None else IMAGE_SUFFIXES
    for path in pictures_among(paths, wanted):
        if barrier is not None and real_path(path).is_relative_to(barrier):
            continue
        if path.suffix.lower() != ".ts" or _is_stream(path):
            yield path, root


def _matches(pattern: Path) -> list[Path]:
    return sorted(map(Path, glob.glob(str(pattern), recursive=True)))  # noqa: PTH207


def _is_stream(path: Path) -> bool:
    """Tell an MPEG transport stream from a TypeScript file."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(1) == b"G"
    return False


def _before_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    """Return a name for each file: below its root, else with the root's name, else from above."""
    if any(path == STREAM for path, _ in files):
        raise InputError("IN -: standard input is one picture and can not be one of several")
    below = [path.relative_to(root).as_posix() for path, root in files]
    with_root = [
        f"{root.resolve().name}/{name}" for (_, root), name in zip(files, below, strict=True)
    ]
    for names in (below, with_root):
        if len({name.casefold() for name in names}) == len(names):
            return names
    common = os.path.commonpath([path.resolve().parent for path, _ in files])
    return [
        path.parent.resolve().joinpath(path.name).relative_to(common).as_posix()
        for path, _ in files
    ]


def _nothing(given: Path, suffixes: Set[str], *, recursive: bool) -> str:
    what = "image or video" if suffixes >= VIDEO_SUFFIXES else "image"
    if (address := address_of(given)) is not None:
        return f"{address}: no image below it ({', '.join(sorted(IMAGE_SUFFIXES))})"
    if not is_folder(given):
        return f"{given}: no {what} file matches this pattern (working directory: {Path.cwd()})"
    if not recursive and any(p.suffix.lower() in suffixes for p in visible_files(given)):
        return (
            f"{given}: no {what} directly in this folder, but in its sub-folders; add --recursive"
        )
    strays = left_out(given, recursive=recursive, suffixes=suffixes)
    seen = "".join(f"; {path} {reason}" for path, reason in strays[:1])
    return f"{given}: no {what} in this folder ({', '.join(sorted(suffixes))}){seen}"
