"""Small ICC profiles of other colours than sRGB's, made here."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(s15(value) for value in values)


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def icc(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of version 2 for pictures of a colour space."""
    white = xyz(0.9642, 1.0, 0.8249)
    tags = {b"wtpt": white, **tags}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = struct.pack(">I", start + len(body))
    header = size + b"\0\0\0\0\x02\x10\0\0" + kind + space + pcs + bytes(12) + b"acsp"
    header += bytes(28) + white[8:]
    return header.ljust(128, b"\0") + table + body


def wide_rgb() -> bytes:
    """Display P3's primaries with gamma 2.2."""
    primaries = {b"r": (0.5151, 0.2412, -0.0011), b"g": (0.2920, 0.6922, 0.0419)}
    primaries |= {b"b": (0.1571, 0.0666, 0.7841)}
    tags = {name + b"XYZ": xyz(*values) for name, values in primaries.items()}
    return icc(b"mntr", b"RGB ", b"XYZ ", tags | {name + b"TRC": curve(2.2) for name in primaries})


def grey(gamma: float) -> bytes:
    return icc(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve(gamma)})


def cmyk() -> bytes:
    """Inks that only darken: L is 100 (1 - (C + M + Y + K) / 4), without colour."""
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += b"".join(s15(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut += bytes(range(256)) * 4
    lut += b"".join(
        bytes([round(255 * (1 - sum(at) / 4)), 128, 128]) for at in product((0, 1), repeat=4)
    )
    return icc(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut + bytes(range(256)) * 3})


SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
"""Of linear sRGB to XYZ under D50."""
WIDE = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])


def srgb_coded(linear: np.ndarray) -> np.ndarray:
    """Return linear light with sRGB's curve, times 255."""
    light = np.clip(linear, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def wide_in_srgb(color: tuple[int, int, int]) -> np.ndarray:
    """Return what a colour of :func:`wide_rgb` is in sRGB, by the formulas."""
    light = (np.array(color) / 255) ** 2.2
    return srgb_coded(np.linalg.solve(SRGB, WIDE @ light))
