"""Files in object stores, named by their addresses (`s3://bucket/a.jpg`), through fsspec.

A `Path` of an address has lost a slash, and is one all the same: `s3:/bucket/a.jpg`. Files are read
whole and written whole: a reader sees the old one or the new one.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from lgt.errors import InputError, LGTError, LGTWarning, StorageError
from lgt.extras import pip_install
from lgt.files import is_orphan, is_temporary, temporary_name
from lgt.names import check_file_name, is_hidden

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)")
"""What a path makes of `scheme://rest`; a letter alone is a drive."""
_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://?[^/:@\s]*:)[^/\s]*@")
_OBJECTS = {"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a"}
"""Schemes of stores that have whole objects only, and no folders; others are like file systems."""
_NO_STORES = ("http", "https", "file")
"""Schemes of what has no folders, or lies here."""


def address_of(path: Path) -> str | None:
    """Return the address that a path stands for; None where it names what may be here."""
    found = _ADDRESS.fullmatch(path.as_posix())
    if found is None or os.path.lexists(path.parts[0]):
        return None
    return f"{found[1]}://{found[2]}"


def shown(path: Path) -> str:
    """Return a path, or an address as it was written, without its password."""
    return public(address_of(path) or str(path))


def public(text: str) -> str:
    """Return a text that may be printed and kept: passwords of addresses in it are `***`."""
    return _PASSWORD.sub(r"\1***@", text)


def is_store(path: Path) -> bool:
    """Tell the address of what can be a folder of a store."""
    address = address_of(path)
    return address is not None and address.partition(":")[0].lower() not in _NO_STORES


def anywhere(path: Path) -> Path:
    """Return a path that is the same in processes that work elsewhere; an address is already."""
    return path if address_of(path) is not None else path.absolute()


def refuse_address(path: Path, why: str = "only what is on this machine is taken here") -> None:
    """Refuse an address for a path: results would go to a folder that is called `s3:`.

    Raises:
        InputError: It is one.
    """
    if (address := address_of(path)) is not None:
        raise InputError(
            f"{public(address)}: is an address, and {why}; download it, or mount its store as a "
            "folder"
        )


def names_in(address: str, *, recursive: bool) -> list[str]:
    """Return the names of the files below an address, sorted; hidden ones are left out.

    What a store holds may have any name. Those that can be none of a file below a folder are left
    out, with an `LGTWarning`.

    Raises:
        InputError: There is no file.
        StorageError: The store does not answer.
    """
    with _asked(address) as (system, root):
        found = system.find(root, maxdepth=None if recursive else 1)
        start = len(root.rstrip("/")) + 1
        names = sorted(path[start:] for path in found)
    if names == [""]:
        raise InputError(f"{public(address)}: is a file; of a store whole folders are taken")
    kept, problems = [], []
    for name in names:
        try:
            check_file_name(name, is_nested=True)
        except InputError as problem:
            problems.append(str(problem))
        else:
            if not any(map(is_hidden, name.split("/"))):
                kept.append(name)
    if problems:
        warnings.warn(
            f"{public(address)}: {len(problems)} file(s) left out; {problems[0]}",
            LGTWarning,
            stacklevel=2,
        )
    if not kept:
        raise InputError(
            f"{public(address)}: there is no file{'' if recursive else ' directly'} below it"
        )
    return kept


def read_stored(address: str) -> bytes:
    """Return what a file holds.

    Raises:
        InputError: It is not there.
        StorageError: The store does not answer.
    """
    with _asked(address) as (system, path):
        return cast(bytes, system.cat_file(path))


def write_stored(address: str, data: bytes) -> None:
    """Write a file, and the folders above it where the store has such.

    Raises:
        StorageError: The store does not take it.
    """
    with _asked(address) as (system, path):
        if address.partition(":")[0].lower() in _OBJECTS:
            try:
                system.pipe_file(path, data)
            except FileNotFoundError:
                bucket = path.strip("/").partition("/")[0]
                raise StorageError(
                    f"{public(address)}: could not be written: the store has no bucket {bucket!r}"
                ) from None
            return
        folder, _, _ = path.rpartition("/")
        system.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/{temporary_name(path.rpartition('/')[2])}"
        try:
            system.pipe_file(temporary, data)
            system.mv(temporary, path)
        except BaseException:
            with suppress(Exception):
                system.rm_file(temporary)
            raise


def remove_stale_stored(address: str, *, older_than: float = 60.0) -> None:
    """Delete what killed writers left below an address, as `lgt.files.remove_stale_temporaries`.

    Where a store tells no times, only what processes of this machine left is known to be stale.
    """
    if address.partition(":")[0].lower() in _OBJECTS:  # They hold whole files only.
        return
    limit = time.time() - older_than
    with suppress(LGTError), _asked(address) as (system, root):
        for path in system.find(root):
            name = path.rpartition("/")[2]
            if is_temporary(name):
                with suppress(Exception):  # Gone by now, or another's.
                    if is_orphan(name) or system.modified(path).timestamp() < limit:
                        system.rm_file(path)


def stored_at(address: str) -> float | None:
    """Return when a file was written, in seconds since 1970; None where its store does not tell.

    Raises:
        InputError: It is not there.
        StorageError: The store does not answer.
    """
    with _asked(address) as (system, path):
        system.info(path)  # Says that it is not there where the next line would not.
        with suppress(NotImplementedError):
            return float(system.modified(path).timestamp())
    return None


@contextmanager
def opened_stored(address: str) -> Iterator[BinaryIO]:
    """Open a file to read parts of it; only these are fetched.

    Raises:
        InputError: It is not there.
        StorageError: The store does not answer.
    """
    with _asked(address) as (system, path), system.open(path, "rb") as file:
        yield file


@contextmanager
def _asked(address: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of an address and the path in it; say in a sentence what goes wrong."""
    try:
        import fsspec.core
    except ImportError:
        raise InputError(
            f"{public(address)}: is an address, which fsspec reads; {pip_install('cluster')}"
        ) from None
    try:
        yield fsspec.core.url_to_fs(address)
    except LGTError:
        raise
    except FileNotFoundError:
        raise InputError(f"{public(address)}: no such file") from None
    except (ValueError, ImportError) as error:  # No such scheme, or a package of it is missing.
        raise InputError(f"{public(address)}: {public(str(error))}") from None
    except Exception as error:  # Each store has errors of its own.
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise StorageError(f"{public(address)}: {public(said[0])}") from error
