"""Image files to upright RGB pictures, whatever their format and mode."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lgt.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif"}
)
"""File name endings taken for images, in lower case."""

MAX_PIXELS = 178_956_970
"""Most pixels of an image that is read: about 13,377 x 13,377; more is a decompression bomb."""


def open_image(
    source: Path | str | BinaryIO, *, min_side: int | None = None, keep_alpha: bool = False
) -> Image.Image:
    """Read an image file as an upright RGB picture.

    The EXIF rotation is applied, transparency is laid on white, greyscale, palette, CMYK and 16-bit
    pictures are converted, and of an animation the first frame is taken.

    Args:
        source: Path or open binary file.
        min_side: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 size (much faster), as long as
            both sides stay at or above this many pixels.
        keep_alpha: Return an RGBA picture where there is transparency.

    Raises:
        InputError: There is no such file, or it is not a complete image, or it is too large.
    """
    name = str(source) if isinstance(source, (str, Path)) else getattr(source, "name", "image data")
    if isinstance(source, (str, Path)):
        check_file(Path(source))
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name)
            if min_side is not None:
                image.draft("RGB", (min_side, min_side))
            return to_rgb(image, keep_alpha=keep_alpha)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: not an image that can be read (damaged, or not one of JPEG, PNG, WebP, BMP, "
            "TIFF, GIF)"
        ) from None
    except PermissionError:
        raise InputError(f"{name}: no permission to read the file") from None
    except Exception as error:  # decoders raise almost anything on damaged data
        detail = str(error) or type(error).__name__
        raise InputError(f"{name}: the image is damaged or incomplete ({detail})") from error


def check_file(path: Path) -> None:
    """Refuse a path that is no file, or an empty one.

    Raises:
        InputError: Says which.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not an image file")
    if not path.exists():
        raise InputError(f"{path}: no such file (working directory: {Path.cwd()})")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")


def named_bytes(data: bytes, name: str) -> BinaryIO:
    """Return a file in memory whose name error messages use."""
    stream = io.BytesIO(data)
    stream.name = name
    return stream


def _too_large(name: str) -> InputError:
    return InputError(f"{name}: more than {MAX_PIXELS} pixels; make the image smaller first")


def to_rgb(image: Image.Image, *, keep_alpha: bool = False) -> Image.Image:
    """Convert any PIL image to an upright RGB one; transparency is laid on white, or kept."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _to_8_bit(image)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if has_alpha:
        rgba = image.convert("RGBA")
        if keep_alpha:
            rgba.info = {}
            return rgba
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return converted if converted is not None else image
    # A fresh copy also drops metadata, which would otherwise be written into outputs.
    rgb = image.convert("RGB") if image.mode != "RGB" else image.copy()
    rgb.info = {}
    return rgb


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Map a 16-bit, 32-bit or float greyscale image to 8 bits.

    Note:
        Float images hold [0, 1] or [0, 255]; 32-bit ones hold [0, 255] or [0, 65535]. The largest
        value tells which.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 255.0 if top <= 1.0 else 1.0
    elif image.mode == "I":
        scale = 1.0 if top <= 255 else 255.0 / 65535.0
    else:
        scale = 255.0 / 65535.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
