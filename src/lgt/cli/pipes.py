"""What the shell hands over besides plain files: pipes, and folders that are still to be made."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lgt.errors import InputError, LGTError


@contextmanager
def kept_pipes(paths: Iterable[Path | None]) -> Iterator[Mapping[Path, Path]]:
    """Read the pipes among some files, such as `<(...)`, into files that can be read again.

    An error that names such a file is changed to name the pipe.

    Args:
        paths: Files as they were named; None is left out.

    Yields:
        The file of each pipe, of the same name; it is there as long as the block runs.

    Raises:
        InputError: A pipe can not be read, or is empty.
    """
    pipes = [path for path in dict.fromkeys(paths) if path is not None and is_pipe(path)]
    if not pipes:
        yield {}
        return
    with TemporaryDirectory(prefix="lgt-") as folder:
        kept = {pipe: Path(folder, str(i), pipe.name) for i, pipe in enumerate(pipes)}
        for pipe, file in kept.items():
            _copy(pipe, file)
        try:
            yield kept
        except LGTError as error:
            error.args = tuple(_renamed(value, kept) for value in error.args)
            raise


def is_pipe(path: Path) -> bool:
    """Tell what can be read once only, as it comes, from plain files and folders."""
    try:
        mode = path.stat().st_mode
    except OSError:  # Whoever reads it says why not.
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _copy(pipe: Path, file: Path) -> None:
    file.parent.mkdir()
    try:
        with pipe.open("rb") as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise InputError(f"{pipe}: can not be read ({error.strerror})") from error
    if file.stat().st_size == 0:
        raise InputError(f"{pipe}: nothing came out of this pipe (0 bytes)")


def _renamed(value: object, kept: Mapping[Path, Path]) -> object:
    for pipe, file in kept.items():
        value = value.replace(str(file), str(pipe)) if isinstance(value, str) else value
    return value


def names_folder(text: str) -> bool:
    """Tell whether a path ends as that of a folder does: with a slash."""
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return text.endswith(separators)


@contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make a folder for results, with those above it; after an error empty ones go again.

    Raises:
        InputError: It can not be made.
    """
    above = [path, *path.parents]
    new = [folder for folder in above if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = "is a file, not a folder" if path.is_file() else f"can not be made ({error})"
        raise InputError(f"{path}: {what}; give another OUT") from error
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise
