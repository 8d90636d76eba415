"""Pictures to files, and many pictures to one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image, ImageDraw, ImageFont

from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.image.convert import to_image
from lgt.image.metadata import metadata_options
from lgt.image.profile import srgb_profile
from lgt.image.read import is_plain, to_rgb
from lgt.image.resolution import resolution_of

if TYPE_CHECKING:
    from torch import Tensor

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
}

WRITTEN_SUFFIXES = frozenset(_FORMATS)
"""File name endings of what can be written, in lower case."""

_TAGGED = frozenset({"JPEG", "PNG", "TIFF", "WEBP"})
"""Formats that carry a colour profile."""

LIMITS = {"WEBP": 16383, "GIF": 65535, "JPEG": 65500}
"""Longest side of a format, in pixels (of JPEG, what libjpeg writes)."""


def image_format(path: Path) -> str:
    """Return the format that the suffix names, such as `JPEG`.

    Raises:
        InputError: Unknown suffix; worth asking before long work starts.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: can not tell the format from the suffix '{path.suffix}'; use one of "
            f"{', '.join(sorted(_FORMATS))}"
        )
    return kind


def check_size(kind: str, size: tuple[int, int], name: Path | str) -> None:
    """Refuse a picture that is too long for a format; worth asking before long work starts.

    Args:
        kind: Format, such as `JPEG`.
        size: Width and height in pixels.
        name: What the message calls the file.

    Raises:
        InputError: Names a format that takes it.
    """
    limit = LIMITS.get(kind)
    if limit is not None and max(size) > limit:
        raise InputError(
            f"{name}: {size[0]} x {size[1]} pixels, and {kind} takes at most {limit} a side; write "
            f"PNG or TIFF, or make it smaller with --max_side {limit}"
        )


def save_image(
    image: Tensor | Image.Image,
    path: Path | str,
    quality: int = 95,
    *,
    text: str | None = None,
    exif: Image.Exif | None = None,
) -> None:
    """Write an image file; the format follows the suffix, missing folders are made.

    Args:
        image: PIL image, whose `info["dpi"]` is kept, or a tensor as :func:`to_image` takes.
        path: Where to write; an existing file is replaced.
        quality: Of JPEG and WebP, 1 to 100.
        text: ASCII that `lgt.image.read_text` finds again, where the format carries one.
        exif: From `lgt.image.read_exif`.

    Raises:
        InputError: Unknown suffix, a picture too long for its format, or the file can not be
            written.
    """
    path = Path(path)
    kind = image_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            write_image(image, temporary, kind, quality, text=text, exif=exif)
    except OSError as error:
        raise InputError(f"{path}: can not write the image ({error})") from error


def write_image(
    image: Tensor | Image.Image,
    target: Path | BinaryIO,
    kind: str,
    quality: int = 95,
    *,
    text: str | None = None,
    exif: Image.Exif | None = None,
) -> None:
    """Write a picture in a format to a path or an open binary file; see :func:`save_image`.

    RGB pictures are tagged as sRGB where the format can tell; what has a profile is converted.
    """
    picture = image if isinstance(image, Image.Image) else to_image(image)
    check_size(kind, picture.size, target if isinstance(target, Path) else kind)
    if "icc_profile" in picture.info:
        picture = to_rgb(picture, keep_alpha=True)
    if kind == "JPEG" and not is_plain(picture):
        picture = to_rgb(picture)
    options = save_options(picture, kind, text=text, exif=exif)
    if kind == "JPEG":
        options |= {"quality": quality, "subsampling": 0}
    elif kind == "WEBP":
        options |= {"quality": quality}
    picture.save(target, format=kind, **options)


def save_options(
    picture: Image.Image, kind: str, *, text: str | None = None, exif: Image.Exif | None = None
) -> dict[str, Any]:
    """Return the keyword arguments of `Image.save` for all that a file says besides its pixels."""
    options = metadata_options(kind, text, exif, picture.size, resolution_of(picture))
    if kind in _TAGGED and picture.mode in ("RGB", "RGBA"):
        options["icc_profile"] = srgb_profile()
    return options


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Image.Image:
    """Lay images out in a labelled grid; every cell has the size of the largest image.

    Args:
        rows: Images row by row; rows may differ in length.
        row_labels: Text left of each row; may be shorter than `rows`.
        column_labels: Text above each column.

    Raises:
        InputError: There is no image.
    """
    images = [image for row in rows for image in row]
    if not images:
        raise InputError("a contact sheet needs at least one image")
    width, height = max(i.width for i in images), max(i.height for i in images)
    columns, gap, text = max(len(row) for row in rows), 4, 16
    font: Any = ImageFont.load_default(text - 3)
    left = 2 * gap + math.ceil(max((font.getlength(label) for label in row_labels), default=0))
    left = left if row_labels else gap
    top = gap + (text + gap if column_labels else 0)
    sheet = Image.new(
        "RGB", (left + columns * (width + gap), top + len(rows) * (height + gap)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels[:columns]):
        draw.text((left + column * (width + gap), gap), label, "black", font)
    for index, row in enumerate(rows):
        y = top + index * (height + gap)
        if index < len(row_labels):
            draw.text((gap, y + (height - text) // 2), row_labels[index], "black", font)
        for column, image in enumerate(row):
            sheet.paste(image, (left + column * (width + gap), y))
    return sheet


def picture_sheet(
    pictures: Sequence[Image.Image],
    labels: Sequence[str],
    *,
    columns: int = 4,
    max_side: int = 512,
) -> Image.Image:
    """Lay pictures out in rows, each with its label above it.

    Args:
        pictures: In reading order.
        labels: One for each picture.
        columns: Pictures in a row.
        max_side: Larger pictures are reduced to it, in pixels.

    Raises:
        InputError: There is no picture.
    """
    cells = [to_rgb(picture) for picture in pictures]
    for cell in cells:
        cell.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    strips = [
        contact_sheet([cells[i : i + columns]], (), labels[i : i + columns])
        for i in range(0, max(len(cells), 1), columns)
    ]
    sheet = Image.new(
        "RGB", (max(strip.width for strip in strips), sum(s.height for s in strips)), "white"
    )
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet
