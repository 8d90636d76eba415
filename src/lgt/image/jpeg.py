"""What a JPEG costs to decode, told before it is decoded."""

from __future__ import annotations

from typing import BinaryIO

MAX_SCANS = 100
"""Scans that are decoded. Progressive files have about ten; each goes over the whole picture again,
so that a small file with thousands of empty ones takes minutes. libtiff has the same limit."""

_BLOCK = 2**20
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: no segment follows."""
_SCAN, _END = 0xDA, 0xD9


def num_scans(stream: BinaryIO, limit: int = MAX_SCANS) -> int:
    """Count the scans of the first picture in a JPEG, up to one more than a limit; it is rewound.

    What follows that picture, such as a second one or a video, is not looked at.
    """
    stream.seek(2)
    count = 0
    try:
        while count <= limit and (marker := _next_marker(stream)) is not None and marker != _END:
            if marker in _BARE:
                continue
            length = int.from_bytes(stream.read(2), "big")
            stream.seek(max(length - 2, 0), 1)
            count += marker == _SCAN
    finally:
        stream.seek(0)
    return count


def _next_marker(stream: BinaryIO) -> int | None:
    """Return the code of the next marker, over the data of a scan; None: there is none."""
    is_escaped = False
    while block := stream.read(_BLOCK):
        start = 0
        if is_escaped and block[0] not in (0x00, 0xFF):
            stream.seek(1 - len(block), 1)
            return block[0]
        while (at := block.find(b"\xff", start)) >= 0 and at + 1 < len(block):
            if block[at + 1] not in (0x00, 0xFF):
                stream.seek(at + 2 - len(block), 1)
                return block[at + 1]
            start = at + 1 + (block[at + 1] == 0x00)
        is_escaped = block.endswith(b"\xff") and start < len(block)
    return None
