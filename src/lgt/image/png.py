"""PNG files with more text than Pillow takes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

MAX_TEXT = 1_000_000
"""Bytes of all texts that are kept, unpacked; Pillow refuses the file where one has more."""
MAX_PROFILE = 16_000_000
"""Bytes of the largest colour profile that is read, unpacked."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


def without_large_texts(stream: BinaryIO) -> tuple[BinaryIO, bytes | None]:
    """Return a PNG without texts that exceed `MAX_TEXT`, and the colour profile if it is as large.

    Most files have none: they come back as they are, looked through from chunk to chunk.
    """
    dropped: list[tuple[int, int]] = []
    profile, total = None, 0
    for name, start, length in _chunks(stream):
        if name not in _TEXTS and name != b"iCCP":
            continue
        stream.seek(start + 8)
        data = stream.read(length)
        if name == b"iCCP":
            unpacked = _unpacked(data.partition(b"\0")[2][1:], MAX_PROFILE)
            if len(unpacked) > MAX_TEXT:
                profile = unpacked
                dropped.append((start, length + 12))
            continue
        total += _text_length(name, data)
        if total > MAX_TEXT:
            total -= _text_length(name, data)
            dropped.append((start, length + 12))
    stream.seek(0)
    if not dropped:
        return stream, None
    content = stream.read()
    parts, at = [], 0
    for start, length in dropped:
        parts.append(content[at:start])
        at = start + length
    return io.BytesIO(b"".join([*parts, content[at:]])), profile


def has_late_metadata(stream: BinaryIO) -> bool:
    """Tell a PNG whose texts or EXIF follow its pixels, which Pillow only finds by decoding these.

    The stream is rewound.
    """
    is_late = False
    for name, _, _ in _chunks(stream):
        if is_late and name in _TEXTS | {b"eXIf"}:
            stream.seek(0)
            return True
        is_late = is_late or name == b"IDAT"
    stream.seek(0)
    return False


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, where it starts, and the length of its data."""
    stream.seek(0)
    if stream.read(8) != _SIGNATURE:
        return
    start = 8
    while len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        yield head[4:], start, length
        start += length + 12
        stream.seek(start)


def _text_length(name: bytes, data: bytes) -> int:
    """Return the bytes of a text, unpacked, up to a little more than `MAX_TEXT`."""
    rest = data.partition(b"\0")[2]
    if name == b"zTXt":
        return len(_unpacked(rest[1:], MAX_TEXT))
    if name == b"iTXt" and rest[:1] == b"\1":
        return len(_unpacked(rest[2:].split(b"\0", 2)[-1], MAX_TEXT))
    return len(data)


def _unpacked(data: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, limit + 1)
    except zlib.error:
        return b""
