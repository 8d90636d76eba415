"""One writer a folder: a lock that the system gives up when its process ends, however it ends."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lgt.errors import InputError

NAME = ".lgt-lock"
"""File that is locked; it says who holds it, and goes with the lock."""
_BUSY = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_BEYOND = 2**30
"""Byte that Windows locks, where readers of the file do not look."""


@contextmanager
def sole_writer(folder: Path, command: str, option: str) -> Iterator[None]:
    """Hold a folder, so that a second run does not mix its files with this one's.

    Args:
        folder: It is made if it is missing.
        command: Who writes, such as `lgt train`.
        option: How another folder is chosen.

    Raises:
        InputError: Another process holds it: says which, where, and for how long. Or it can not be
            written to.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _locked(path)
    except OSError as error:
        raise InputError(
            f"{folder}: can not write to this folder ({error.strerror or error}); choose another "
            f"one with {option}"
        ) from error
    if handle is None:
        raise InputError(
            f"{folder}: {_owner(path)} writes into this folder; two runs would mix their files: "
            f"wait for it, stop it, or choose another folder with {option}"
        )
    try:
        owner = {"command": command, "pid": os.getpid(), "host": socket.gethostname()}
        with suppress(OSError):  # A full disk, which whoever writes more will tell.
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(owner | {"since": time.time()}).encode())
        yield
    finally:
        if sys.platform != "win32":  # While it is held: nobody else can have it by now.
            path.unlink(missing_ok=True)
        os.close(handle)
        if sys.platform == "win32":
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """Return an open file that is locked; None: somebody else has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(handle):
                os.close(handle)
                return None
            # Whoever held it may have removed the file since it was opened.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file; also True where the file system knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _BEYOND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY
    return True


def _owner(path: Path) -> str:
    """Return who holds a lock."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        minutes = max(0.0, time.time() - float(owner["since"])) / 60
        age = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
        place = f"process {int(owner['pid'])} on {owner['host']}"
        return f"another {owner['command']} ({place}, for {age})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
