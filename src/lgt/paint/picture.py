"""Image files as recipes take them: pixels, EXIF, and which file it was. Needs no torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lgt.errors import InputError
from lgt.image import check_file, named_bytes, open_image, read_exif
from lgt.paint.provenance import FileRecord, short_sha256

STREAM = Path("-")
"""Names standard input or output."""


@dataclass(frozen=True)
class Picture:
    """An image file that was read."""

    name: str
    """Of the file, without its folder."""
    sha256: str
    image: Image.Image
    exif: Image.Exif | None = None

    @property
    def record(self) -> FileRecord:
        """What provenance keeps of it."""
        return FileRecord(name=self.name, sha256=self.sha256)


def read_picture(path: Path, *, max_side: int | None = None) -> Picture:
    """Read an image file with its transparency, or standard input for `-`.

    Args:
        path: File, or `-`.
        max_side: See :func:`lgt.image.open_image`.

    Raises:
        InputError: It is no image that can be read.
    """
    if path == STREAM:
        data, name = sys.stdin.buffer.read(), "standard input"
        if not data:
            raise InputError("standard input: empty (0 bytes); pipe an image file into IN -")
    else:
        check_file(path)
        try:
            data, name = path.read_bytes(), str(path)
        except OSError as error:
            raise InputError(f"{path}: can not be read ({error.strerror})") from error
    return decode_picture(data, path.name, name, max_side=max_side)


def decode_picture(
    data: bytes, name: str, whole_name: str, *, max_side: int | None = None
) -> Picture:
    """Read a picture from the bytes of a file.

    Args:
        data: The bytes.
        name: Of the file, without its folder.
        whole_name: What messages call it.
        max_side: See :func:`lgt.image.open_image`.

    Raises:
        InputError: It is no image that can be read.
    """
    image = open_image(named_bytes(data, whole_name), max_side=max_side, keep_alpha=True)
    return Picture(name, short_sha256(data), image, read_exif(named_bytes(data, whole_name)))
