"""How much one server takes."""

from __future__ import annotations

from dataclasses import dataclass

_MARGIN = 64 * 1024
"""Bytes of a request besides its files."""


@dataclass(frozen=True)
class Limits:
    """Bounds on uploads; see `lgt serve --help`."""

    max_pixels: int = 4_194_304
    """Pixels of one photo, width times height."""
    max_upload: int = 20_000_000
    """Bytes of one file."""
    max_batch: int = 8
    """Photos of one batch."""

    def body(self, path: str) -> int:
        """Return the most bytes of a request to a path."""
        if path == "/api/batch":
            return self.max_upload * self.max_batch + _MARGIN
        files = {"/api/jobs": 2, "/api/preview": 1}.get(path, 0)
        return files * self.max_upload + _MARGIN
