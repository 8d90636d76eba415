"""Files that are either complete or absent, and what tells weights apart."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_PREFIX = ".lgt-"
_SUFFIX = ".tmp"
NAME_MAX = 255
"""Bytes that file systems allow a name; a letter may take four of them."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; put it in place when the block succeeds.

    A reader sees the old file or the new one, never a part, also when the process is killed.

    Args:
        path: The file to write; its folder must exist. An existing file is replaced.
    """
    start = _first_bytes(path.name, 100)
    temporary = path.with_name(f"{_PREFIX}{start}-{secrets.token_hex(4)}{_SUFFIX}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


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


def remove_stale_temporaries(root: Path, *, older_than: float = 60.0) -> int:
    """Delete what killed writers left anywhere under `root`.

    Args:
        root: The folder to search, with its sub-folders.
        older_than: Age in seconds; younger files may belong to a writer that is still at work.

    Returns:
        How many files were deleted.
    """
    limit = time.time() - older_than
    removed = 0
    for path in root.rglob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed


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
