"""Places of files: folders of this machine, and object stores by their URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lgt.errors import InputError

if TYPE_CHECKING:
    from upath import UPath

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
"""A scheme has two letters or more: one is a drive of Windows. `Path` leaves one slash of two."""


def place(text: Path | str) -> Path:
    """Return a path; what is written as a URL, such as `s3://bucket/photos`, answers as one does.

    Raises:
        InputError: What reads that kind of store is not installed.
    """
    found = (
        _URL.fullmatch(str(text)) if not isinstance(text, Path) or _URL.match(str(text)) else None
    )
    if found is None or is_remote(text):
        return cast("Path", text) if is_remote(text) else Path(text)
    scheme, rest = found[1].lower(), found[2]
    if scheme in ("file", "local"):
        return Path("/" + rest)
    url = f"{scheme}://{rest}"
    try:
        from upath import UPath
    except ImportError:
        raise InputError(
            f"{url}: reading object stores needs universal-pathlib; install it with: pip install "
            "'lgt[cluster]'"
        ) from None
    try:
        path = UPath(url)
        path.fs  # noqa: B018  Loads what speaks to the store.
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: can not be opened ({error})") from None
    return cast("Path", path)


def is_remote(path: object) -> bool:
    """Tell a path in an object store, as :func:`place` gives it."""
    return not isinstance(path, Path | str)


def upload(source: Path, target: Path) -> None:
    """Put a local file into a store, where it is whole or absent."""
    store = cast("UPath", target)
    store.fs.put_file(str(source), store.path)
