"""Files that are either complete or absent, and what tells weights apart."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from lgt.errors import InputError, StorageError

_PREFIX = ".lgt-"
_SUFFIX = ".tmp"
_OWNER = re.compile(r"-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}\.tmp")
"""Machine and process in the name of a temporary file."""
_SLACK = 10**6
"""Bytes that a file may take beyond those of its tensors."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
NAME_MAX = 255
"""Bytes that file systems allow a name; a letter may take four of them."""


@contextmanager
def atomic_write(path: Path, *, is_durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; put it in place when the block succeeds.

    A reader sees the old file or the new one, never a part, also when the process is killed.

    Args:
        path: The file to write; its folder must exist. An existing file is replaced.
        is_durable: Whether it is also there after a power failure: for what takes long to make
            again.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        yield temporary
        _open_up(temporary)
        if is_durable:
            _sync(temporary)
        temporary.replace(path)
        if is_durable:
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _open_up(path: Path) -> None:
    """Give a file that a library wrote for its owner alone the mode that the user's umask gives."""
    if path.lstat().st_mode & 0o077:
        return
    probe = path.with_name(temporary_name("mode"))
    probe.touch(exist_ok=False)
    try:
        path.chmod(probe.stat().st_mode)
    finally:
        probe.unlink()


def temporary_name(name: str) -> str:
    """Return the name of a file that is not complete yet: it tells whose it is."""
    owner = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    return f"{_PREFIX}{_first_bytes(name, 100)}-{owner}{_SUFFIX}"


def is_temporary(name: str) -> bool:
    """Tell such a name."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _sync(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    is_list = path.is_dir()
    if path.is_symlink() or (is_list and os.name == "nt"):
        return
    handle = os.open(path, os.O_RDONLY if is_list else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Some systems know none of a folder.
            raise
    finally:
        os.close(handle)


@contextmanager
def storage_errors(path: Path, num_bytes: int = 0) -> Iterator[None]:
    """Say in one sentence that a file could not be written.

    Args:
        path: The file.
        num_bytes: What it takes, if that is known: libraries do not always say that a disk is full.

    Raises:
        StorageError: In place of the `OSError`, or of another error where less is free.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        folder = path.parent if path.parent.is_dir() else Path()
        free = shutil.disk_usage(folder).free
        is_full = getattr(error, "errno", None) in _FULL or free < num_bytes * 1.02 + _SLACK * (
            num_bytes > 0
        )
        if not is_full and not isinstance(error, OSError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if is_full:
            takes = f"; it takes {num_bytes / 1e6:.1f} MB" if num_bytes else ""
            reason = f"the disk is full{takes}"
        raise StorageError(f"{path}: could not be written ({reason})") from error


def is_file(path: Path) -> bool:
    """Tell a file; a path that may not be looked at, or is too long for one, is none.

    Unlike `Path.is_file`, it never raises.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Tell a folder as :func:`is_file` does a file."""
    return os.path.isdir(path)  # noqa: PTH112


def refuse_same(source: Path, output: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        InputError: Both are one file.
    """
    with suppress(OSError):
        if source.samefile(output):
            raise InputError(
                f"{output}: is what is read, and would be lost; the result needs another name"
            )


def refuse_unwritable(folder: Path) -> None:
    """Refuse a folder that results could not be written into, before the work that makes them.

    Args:
        folder: It may be missing; the nearest folder above it that exists is tried then.

    Raises:
        InputError: No file can be made there.
    """
    path = folder.absolute()  # As it is written: `..` of a link is above what it leads to.
    found = next(place for place in (path, *path.parents) if os.path.lexists(place))
    try:
        with TemporaryFile(prefix=_PREFIX, dir=found):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: nothing could be written there ({found}: {error.strerror}); choose another "
            "place for the result"
        ) from error


def real_path(path: Path | str) -> Path:
    """Return where a path leads, over links; one that may not be followed is taken as it is."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return Path(os.path.abspath(path))  # noqa: PTH100  Path's own follows links, too.


def fitted_name(stem: str, end: str) -> str:
    """Return `stem + end` as the name of a file; a stem too long for one is cut.

    Args:
        stem: What may be cut; a hash then keeps two long names apart.
        end: What stays, such as `_monet.png`.
    """
    room = NAME_MAX - len(os.fsencode(end))
    if len(os.fsencode(stem)) <= room:
        return stem + end
    mark = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"
    return _first_bytes(stem, room - len(mark)) + mark + end


def _first_bytes(name: str, count: int) -> str:
    """Return the whole letters of a name that its first bytes hold."""
    return os.fsencode(name)[: max(0, count)].decode("utf-8", "ignore")


def remove_stale_temporaries(root: Path, *, older_than: float = 60.0, is_deep: bool = True) -> int:
    """Delete what killed writers left under `root`.

    Args:
        root: The folder to search.
        older_than: Age in seconds; younger files may belong to a writer that is still at work,
            unless their name tells a process of this machine that is none any more.
        is_deep: Whether the sub-folders are searched, too.

    Returns:
        How many files were deleted.
    """
    limit = time.time() - older_than
    removed = 0
    pattern = f"{_PREFIX}*{_SUFFIX}"
    for path in root.rglob(pattern) if is_deep else root.glob(pattern):
        with suppress(OSError):
            if is_orphan(path.name) or path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed


def is_orphan(name: str) -> bool:
    """Tell a temporary file whose writer, a process of this machine, is gone."""
    found = _OWNER.search(name)
    if found is None or found[1] != _machine() or os.name == "nt":
        return False
    try:
        os.kill(int(found[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # Another user's process, or no number of one.
        return False
    return False


@cache
def _machine() -> str:
    """Return 8 hex digits for this machine: a number of a process means nothing elsewhere."""
    names = [socket.gethostname()]
    with suppress(OSError):  # Two containers may have one name.
        names.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:8]


def weights_fingerprint(weights: Iterable[tuple[str, Any]]) -> str:
    """Return 16 hex digits of the SHA-256 of weights, whichever library holds them.

    Args:
        weights: Names and contiguous float32 arrays, in the order of the names.
    """
    digest = hashlib.sha256()
    for key, values in weights:
        digest.update(f"{key}{tuple(values.shape)}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]
