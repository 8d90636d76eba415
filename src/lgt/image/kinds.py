"""What an image file is, by its first bytes and by its name."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from lgt.extras import pip_install
from lgt.files import is_file

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "DIB": (".dib",),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "ICO": (".ico",),
    "ICNS": (".icns",),
    "SGI": (".sgi",),
    "SUN": (".ras",),
    "PCX": (".pcx",),
    "FITS": (".fits", ".fit"),
    "TGA": (".tga",),
}
"""Formats that are read, by Pillow's names, and their usual file name endings in lower case."""

IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
"""File name endings taken for images in folders, in lower case."""

PLUGINS = {"HEIF": pip_install("heif"), "AVIF": "pip install --upgrade 'pillow>=11.3'"}
"""Formats whose reader may be missing, and how to get it."""

HEAD = 64
"""Bytes that tell what a file is."""

_RAW = "camera raw"
_UNREAD = {
    "JXL": "a JPEG XL picture",
    _RAW: "a camera's raw picture",
    "SVG": "an SVG drawing",
    "EPS": "an EPS drawing",
}
"""Kinds of pictures that are not read."""

_RAW_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cJXL ", "JXL"),
    (b"\xff\x0a", "JXL"),
    (b"8BPS", "PSD"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"icns", "ICNS"),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIU\0", _RAW),
    (b"%!PS-Adobe", "EPS"),
    (b"<svg", "SVG"),
)
_PPM = re.compile(rb"P[1-6]\s+(?:#|\d+\s)")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_BRANDS = {
    "AVIF": {b"avif", b"avis"},
    _RAW: {b"crx "},
    "HEIF": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}


def kind_of(head: bytes) -> str | None:
    """Return the format that the first bytes of a file tell, such as `JPEG`; None: no picture.

    Formats without a mark of their own, such as TGA, are not told.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _PPM.match(head):
        return "PPM"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[i : i + 4] for i in range(8, min(size, len(head)), 4)}
        for kind, own in _BRANDS.items():
            if brands & own:
                return kind
    return None


def kind_of_file(path: Path) -> str | None:
    """Return the format that a file's first bytes tell; None: no picture, or not to be opened."""
    with suppress(OSError):
        if is_file(path):
            with path.open("rb") as file:
                return kind_of(file.read(HEAD))
    return None


def named_kind(kind: str) -> str:
    """Return a format's name with its article, for messages."""
    name = {"HEIF": "HEIC", "WEBP": "WebP", "JPEG2000": "JPEG 2000"}.get(kind, kind)
    return _UNREAD.get(kind, f"{'an' if name[0] in 'AI' else 'a'} {name} picture")


def why_left_out(path: Path) -> str | None:
    """Return why a file, whose name is not that of an image, is a picture all the same; or None."""
    kind = _RAW if path.suffix.lower() in _RAW_SUFFIXES else kind_of_file(path)
    if kind is None:
        return None
    if kind in _UNREAD:
        return f"is {named_kind(kind)}, which is not read; convert it to TIFF, PNG or JPEG"
    return f"is {named_kind(kind)} by its content; name it *{SUFFIXES[kind][0]}"
