"""Bytes that outgrow memory: photos that wait and pictures that are not fetched yet."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque

from lgt.errors import StorageError

_CACHE_KB = 4096
"""Memory that the database keeps its newest pages in."""


class Shelf:
    """Puts bytes into a temporary file without a name and gives them back.

    It is a private database of SQLite, which makes room of what was dropped and whose file the
    system removes when the process ends, whichever way.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dropped: deque[int] = deque()
        self._data = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KB}"):
            self._data.execute(f"PRAGMA {setting}")
        self._data.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, content BLOB)")

    def put(self, content: bytes) -> Kept:
        """Put bytes aside.

        Raises:
            StorageError: There is no room for them.
        """
        with self._lock:
            while self._dropped:
                self._data.execute("DELETE FROM kept WHERE id = ?", (self._dropped.popleft(),))
            try:
                row = self._data.execute("INSERT INTO kept (content) VALUES (?)", (content,))
            except sqlite3.Error as error:
                raise StorageError(
                    f"the server has no room for {len(content) / 1e6:.1f} MB in its temporary "
                    f"folder ({error}); try again later"
                ) from error
            return Kept(self, int(row.lastrowid or 0), len(content))

    def read(self, key: int) -> bytes | None:
        """Return what lies under a key; None: it was dropped."""
        with self._lock:
            row = self._data.execute("SELECT content FROM kept WHERE id = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def drop(self, key: int) -> None:
        """Give up what lies under a key; its room is free for what comes next.

        It takes no lock: the collector of garbage calls it, in the middle of anything.
        """
        self._dropped.append(key)


class Kept:
    """Bytes on a shelf; gone from it when nothing refers to this object any more.

    Args:
        shelf: Where they lie.
        key: Under which key.
        size: How many there are.
    """

    def __init__(self, shelf: Shelf, key: int, size: int) -> None:
        self._shelf, self._key, self.size = shelf, key, size

    def read(self) -> bytes:
        """Return the bytes."""
        content = self._shelf.read(self._key)
        if content is None:
            raise StorageError("the server lost what it had put aside; send the photo again")
        return content

    def __del__(self) -> None:
        self._shelf.drop(self._key)
