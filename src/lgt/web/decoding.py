"""Decoding of what clients send: a few threads of its own, a bounded line before them, and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar

from lgt.errors import InputError, LGTError

WORKERS = 2
"""Pictures that are decoded at once: each may take some ten bytes of memory a pixel, and the
threads that answer everybody else stay free."""
MAX_WAITING = 64
"""Pictures that wait to be decoded; they lie in temporary files meanwhile."""
SECONDS = 10.0
"""Time for one picture. Any of the sizes that the server takes needs a tenth of it."""

T = TypeVar("T")


class BusyError(LGTError):
    """As many pictures wait to be decoded as the server takes."""


class Decoders:
    """Runs what decodes and encodes pictures."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="lgt-decode")
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return what some work gives, once a thread is free for it.

        Raises:
            BusyError: Too many wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise BusyError(
                f"{self._waiting} pictures wait to be read, as many as the server takes; try again "
                "in a few seconds"
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Timed:
    """A binary file that can be read for a while only: decoders ask for their data bit by bit.

    Args:
        file: The file.
        name: What messages call it.
        seconds: From now on.
    """

    def __init__(self, file: BinaryIO, name: str, seconds: float = SECONDS) -> None:
        self._file, self.name, self._seconds = file, name, seconds
        self._end = time.monotonic() + seconds

    def read(self, size: int = -1) -> bytes:
        """Read on.

        Raises:
            InputError: Its time is over.
        """
        self._check()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self._check()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def _check(self) -> None:
        if time.monotonic() > self._end:
            raise InputError(
                f"{self.name}: reading the picture took longer than {self._seconds:g} s; save it "
                "again, as a plain PNG or JPEG"
            )
