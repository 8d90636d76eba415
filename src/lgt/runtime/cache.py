"""Compiled graphs on disk, so that a new process does not compile again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lgt.files import atomic_write

KEPT = 16
"""Files that are kept, the latest used ones; each is about as large as the model."""

FOLDER_VARIABLE = "LGT_CACHE"
"""Environment variable that names the folder; empty: nothing is kept."""


def cache_folder() -> Path | None:
    """Return the folder of compiled graphs, or None where nothing is to be kept."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) / "runtime" if named else None
    from platformdirs import user_cache_path

    return user_cache_path("lgt", appauthor=False) / "runtime"


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Read and write no compiled graphs."""
    named = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = ""
    try:
        yield
    finally:
        os.environ.pop(FOLDER_VARIABLE)
        if named is not None:
            os.environ[FOLDER_VARIABLE] = named


def cached(parts: list[str], make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """Return what `make` makes, from disk where it was made before, and whether it was.

    Args:
        parts: All that decides the result.
        make: Makes it.
    """
    folder = cache_folder()
    if folder is None:
        return make(), False
    path = folder / f"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:24]}.bin"
    with suppress(OSError):
        data = path.read_bytes()
        os.utime(path)
        return data, True
    data = make()
    with suppress(OSError):  # A folder that can not be written only costs time.
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)
        files = sorted(folder.glob("*.bin"), key=lambda file: -file.stat().st_mtime)
        for file in files[KEPT:]:
            file.unlink()
    return data, False


def forget(parts: list[str]) -> None:
    """Remove what :func:`cached` kept."""
    folder = cache_folder()
    if folder is not None:
        name = f"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:24]}.bin"
        with suppress(OSError):
            (folder / name).unlink()
