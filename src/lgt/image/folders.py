"""Folders of pictures: which files they hold, and which pictures among them are not taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from lgt.files import real_path
from lgt.image.kinds import IMAGE_SUFFIXES, why_left_out
from lgt.names import is_hidden

LeftOut = tuple[Path, str]
"""A file or folder, and why it is not taken."""


def visible_files(folder: Path, *, recursive: bool = True) -> list[Path]:
    """Return the visible files of a folder, sorted; links are followed, but never in a circle."""
    return [path for path, reason in _walk(folder, recursive=recursive) if reason is None]


def pictures_among(paths: Iterable[Path], suffixes: Set[str] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """Yield the paths that have the name of a picture.

    Links that lead nowhere, or may not be followed, are among them: who reads them says so.
    """
    for path in paths:
        if path.suffix.lower() in suffixes and _is_file(path) is not False:
            yield path


def left_out(
    folder: Path, *, recursive: bool = True, suffixes: Set[str] = IMAGE_SUFFIXES
) -> list[LeftOut]:
    """Return what of a folder is not taken although it is a picture by its content, and why.

    Sub-folders that may not be entered, and links that lead nowhere, are named too.

    Args:
        folder: Where to look.
        recursive: Whether sub-folders are taken.
        suffixes: File name endings that are taken.
    """
    walked = list(_walk(folder, recursive=recursive))
    closed = [(path, reason) for path, reason in walked if reason is not None]
    files = (path for path, reason in walked if reason is None)
    return [*closed, *left_out_among(files, suffixes)]


def left_out_among(paths: Iterable[Path], suffixes: Set[str] = IMAGE_SUFFIXES) -> list[LeftOut]:
    """Return what of some paths is not taken although it is a picture, and why."""
    reasons = ((path, _reason(path)) for path in paths if path.suffix.lower() not in suffixes)
    return [(path, reason) for path, reason in reasons if reason is not None]


def _reason(path: Path) -> str | None:
    is_file = _is_file(path)
    if is_file is None:
        return "a link that leads nowhere, or may not be followed" if path.is_symlink() else None
    return why_left_out(path) if is_file else None


def _is_file(path: Path) -> bool | None:
    """Tell a file from a folder or device; None: it can not be looked at."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return None


def _walk(folder: Path, *, recursive: bool) -> Iterator[tuple[Path, str | None]]:
    """Yield visible files, and folders that can not be entered with the reason."""
    closed: list[OSError] = []
    seen: set[Path] = set()
    for current, folders, names in os.walk(folder, followlinks=True, onerror=closed.append):
        real = real_path(current)
        is_new = real not in seen
        seen.add(real)
        folders[:] = sorted(f for f in folders if recursive and is_new and not is_hidden(f))
        if is_new:
            yield from (
                (Path(current, name), None) for name in sorted(names) if not is_hidden(name)
            )
    for error in closed:
        yield Path(os.fsdecode(error.filename)), f"can not be entered ({error.strerror})"
