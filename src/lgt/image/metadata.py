"""Text and EXIF inside image files.

A text lies in PNG's text chunk `lgt`, in the EXIF UserComment of JPEG and WebP (ImageDescription,
where a comment of the camera is there already), in the description of TIFF and in the comment of
GIF. Other formats carry none.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, PngImagePlugin

from lgt.image.opening import opened
from lgt.image.png import has_late_metadata
from lgt.image.resolution import Resolution, put_into_exif

KEY = "lgt"
"""Name of PNG's text chunk."""

TEXT_FORMATS = frozenset({"JPEG", "PNG", "WEBP", "TIFF", "GIF"})
"""Formats that carry a text."""

MAX_EXIF = 65_000
"""Bytes; a JPEG segment holds little more."""

_DPI_FORMATS = frozenset({"JPEG", "PNG", "TIFF", "BMP"})
"""Formats with a place of their own for the resolution; WebP's is EXIF, GIF has none."""

_START = '{"lgt'
"""How the texts of LGT begin, to tell them from a camera's comments."""
_ASCII = b"ASCII\0\0\0"
_TAGS, _PARTS = ExifTags.Base, ExifTags.IFD


def read_exif(source: Path | str | BinaryIO) -> Image.Exif | None:
    """Return the EXIF of an image file without its orientation; None if there is none to use."""
    with suppress(Exception), opened(source) as image:  # Decoders raise almost anything.
        exif = exif_of(image)
        if image.format == "TIFF":  # Its EXIF is the layout of the file itself.
            return None
        exif.pop(_TAGS.Orientation, None)
        for part in (_PARTS.Exif, _PARTS.GPSInfo):
            exif.get_ifd(part)
        return exif if len(exif) else None
    return None


def exif_of(image: Image.Image) -> Image.Exif:
    """Return the EXIF of an open file; a PNG is decoded for it only where that is needed."""
    stream = getattr(image, "fp", None)
    if image.format == "PNG" and stream is not None:
        place = stream.tell()
        is_late = has_late_metadata(stream)
        stream.seek(place)
        if not is_late:
            return Image.Image.getexif(image)
    return image.getexif()


def metadata_options(
    kind: str,
    text: str | None,
    exif: Image.Exif | None,
    size: tuple[int, int],
    dpi: Resolution | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments of `Image.save` that put text, EXIF and dpi into a file.

    Args:
        kind: Format, such as `JPEG`.
        text: ASCII; None: none.
        exif: From :func:`read_exif`; its picture's sides become `size`, what does not fit is left
            out.
        size: Width and height of the picture, in pixels.
        dpi: Pixels to the inch.
    """
    options: dict[str, Any] = {"dpi": dpi} if dpi and kind in _DPI_FORMATS else {}
    if kind == "TIFF":
        return options if text is None else {**options, "description": text}
    if kind == "GIF":
        return {} if text is None else {"comment": text.encode("ascii")}
    if kind not in TEXT_FORMATS:
        return options
    if kind == "PNG" and text is not None:
        chunk = PngImagePlugin.PngInfo()
        chunk.add_text(KEY, text)
        options["pnginfo"] = chunk
    comment = None if kind == "PNG" else text
    inside = dpi if kind == "WEBP" else None
    for base in (exif, None):
        if base is None and comment is None:  # No EXIF for the resolution alone.
            break
        with suppress(Exception):  # A camera's tags may be what no writer takes.
            data = _exif_bytes(base, comment, size, inside)
            if len(data) <= MAX_EXIF:
                return {**options, "exif": data}
    return options


def read_text(source: Path | str | BinaryIO) -> str | None:
    """Return the text that LGT wrote into an image file, or None.

    Raises:
        OSError: The file is not there or is no image.
    """
    with opened(source) as image:
        exif = exif_of(image)
        candidates = [
            image.info.get(KEY),
            exif.get_ifd(_PARTS.Exif).get(_TAGS.UserComment),
            exif.get(_TAGS.ImageDescription),
            image.info.get("comment") if image.format == "GIF" else None,
        ]
    return own_text(candidates)


def own_text(values: Iterable[object]) -> str | None:
    """Return the first value that LGT wrote, or None."""
    for value in values:
        text = _plain(value)
        if text.startswith(_START):
            return text
    return None


def _exif_bytes(
    base: Image.Exif | None, text: str | None, size: tuple[int, int], dpi: Resolution | None
) -> bytes:
    exif = Image.Exif()
    if base is not None:
        exif.load(base.tobytes())
        details = exif.get_ifd(_PARTS.Exif)
        for tag, side in zip((_TAGS.ExifImageWidth, _TAGS.ExifImageHeight), size, strict=True):
            if tag in details:
                details[tag] = side
    if dpi is not None:
        put_into_exif(exif, dpi)
    if text is not None:
        details = exif.get_ifd(_PARTS.Exif)
        comment = _plain(details.get(_TAGS.UserComment)).strip()
        if not comment or comment.startswith(_START):
            details[_TAGS.UserComment] = _ASCII + text.encode("ascii")
        else:
            exif[_TAGS.ImageDescription] = text
    return exif.tobytes()


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.removeprefix(_ASCII).decode("ascii", errors="replace").strip("\0")
    return value if isinstance(value, str) else ""
