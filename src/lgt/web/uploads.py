"""Bytes from a client to pictures, without trust; and pictures back to bytes."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from lgt.errors import InputError
from lgt.image import (
    mask_value,
    opened,
    opened_frames,
    read_text,
    save_options,
    to_rgb,
    write_image,
)
from lgt.paint.provenance import FileRecord, short_sha256

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""Formats that are decoded; Pillow's others (some start other programs) are not tried."""
MIN_SIDE = 16
"""Shortest side of a photo, in pixels."""
ASPECT_TOLERANCE = 0.02
"""Relative difference of aspect up to which a mask is taken to belong to a photo."""
MAX_NAME = 200
"""Characters of a file's name that are recorded; the last ones, with the suffix."""
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
MAX_STEM = 120
"""Bytes of a download's name that are of the photo's."""
MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}


class TooManyPixelsError(InputError):
    """A picture has more pixels than the server takes."""


def read_photo(
    file: BinaryIO, name: str, *, max_pixels: int, keep_alpha: bool = False
) -> Image.Image:
    """Decode an uploaded picture as upright RGB; its size is checked before it is decoded.

    Args:
        file: Open at its start.
        name: What messages call it.
        max_pixels: Most pixels, width times height.
        keep_alpha: Return RGBA where there is transparency, instead of laying it on white.

    Raises:
        TooManyPixelsError: It has more pixels than allowed.
        InputError: It is empty, damaged, too small, or not of one of `FORMATS`.
    """
    try:
        with opened(file, FORMATS, name=name, max_bytes=16 * max_pixels) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TooManyPixelsError(
                    f"{name}: {width} x {height} is {width * height / 1e6:.1f} million pixels, the "
                    f"server takes {max_pixels / 1e6:.1f}; make the picture smaller"
                )
            if min(width, height) < MIN_SIDE:
                raise InputError(
                    f"{name}: {width} x {height} is too small; each side needs {MIN_SIDE} pixels"
                )
            return to_rgb(image, keep_alpha=keep_alpha)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"{name}: far too many pixels; make the picture smaller") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: not a picture that can be read (damaged, or not one of {', '.join(FORMATS)})"
        ) from None
    except Exception as error:  # decoders raise almost anything on damaged data
        detail = str(error) or type(error).__name__
        raise InputError(f"{name}: the picture is damaged or incomplete ({detail})") from error


def left_out(file: BinaryIO, name: str) -> str | None:
    """Return what to say of an uploaded photo with further frames or pages; None: it has none.

    Args:
        file: Of a photo that :func:`read_photo` could read; it is rewound.
        name: What messages call it.
    """
    file.seek(0)
    with suppress(Exception), opened_frames(file, name) as frames:
        if len(frames.shown()) > 1:
            return (
                f"{name}: only the first of its frames was painted, as the server gives one "
                "picture; `lgt transfer` paints all of them"
            )
    return None


def read_mask(file: BinaryIO, photo: Image.Image, *, max_pixels: int) -> Image.Image:
    """Decode an uploaded mask; what is white and opaque is stylised.

    Returns:
        Greyscale, mode `L`, of the photo's size.

    Raises:
        InputError: It is no picture, or of another shape than the photo.
    """
    mask = mask_value(read_photo(file, "mask", max_pixels=max_pixels, keep_alpha=True))
    ratio = (mask.width * photo.height) / (mask.height * photo.width)
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"mask: {mask.width} x {mask.height} has another shape than the photo "
            f"({photo.width} x {photo.height})"
        )
    if mask.size != photo.size:
        mask = mask.resize(photo.size, Image.Resampling.BILINEAR)
    return mask


def to_png(image: Image.Image, text: str | None = None) -> bytes:
    """Encode a picture as PNG, without metadata but a text for `lgt.image.read_text`."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=4, **save_options(image, "PNG", text=text))
    return buffer.getvalue()


def transcode(png: bytes, kind: str) -> bytes:
    """Return PNG bytes as `png` or `jpeg`, with their text."""
    if kind == "png":
        return png
    buffer = BytesIO()
    with Image.open(BytesIO(png), formats=("PNG",)) as image:
        image.load()
        write_image(image, buffer, "JPEG", text=read_text(BytesIO(png)))
    return buffer.getvalue()


def record_of(file: BinaryIO, filename: str | None) -> FileRecord:
    """Return what provenance keeps of an uploaded file, which is rewound."""
    file.seek(0)
    digest = short_sha256(file.read())
    file.seek(0)
    return FileRecord(name=base_name(filename), sha256=digest)


def base_name(filename: str | None, default: str = "photo") -> str:
    """Return a client's file name without folders and control characters, at most 200 long."""
    last = re.split(r"[/\\]", filename or "")[-1]
    name = "".join(c for c in last if c.isprintable()).strip()[-MAX_NAME:]
    return default if name in ("", ".", "..") else name


def safe_stem(filename: str | None, default: str = "photo") -> str:
    """Reduce a client's file name to a short word, in any script.

    It never becomes a path; it names downloads, and members of a zip file.
    """
    last = re.split(r"[/\\]", filename or "")[-1]
    name = unicodedata.normalize("NFC", last.rsplit(".", 1)[0])
    # Not `\w`, which would break scripts whose vowels are marks.
    kept = "".join(c if c > "\x7f" and c.isprintable() else _PLAIN.sub("/", c) for c in name)
    stem = re.sub("/+", "_", kept).strip("_")[:60]
    return stem.encode()[:MAX_STEM].decode("utf-8", "ignore") or default


def disposition(kind: str, name: str) -> str:
    """Return the header `Content-Disposition` of a file of any name (RFC 6266).

    Args:
        kind: `inline` or `attachment`.
        name: Without folders, quotes and control characters, as of :func:`safe_stem`.
    """
    plain = re.sub(r"[^\x20-\x7e]+", "_", name)
    header = f'{kind}; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
