"""Image files to upright RGB pictures, whatever their format and mode."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from lgt.errors import InputError
from lgt.image.deep import is_deep, to_8_bit
from lgt.image.opening import MAX_BYTES, MAX_PIXELS, decoding_bytes, opened
from lgt.image.profile import lab_to_srgb, to_srgb
from lgt.image.resolution import resolution_of
from lgt.image.size import limited_size, reducing_factors

_BAND = 2**24
"""Pixels that are reduced at once."""
_STRIP = 2**21
"""Pixels that are converted at once where the result is as large as the picture."""
_WHOLE = 2**25
"""Pixels that are converted whole also where fewer are wanted: 128 MiB."""
_MOST_COPIED = 125_000_000
"""Pixels of a picture that is in memory twice on its way, with four bytes each: 1 GB."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


def open_image(
    source: Path | str | BinaryIO,
    *,
    min_side: int | None = None,
    max_side: int | None = None,
    keep_alpha: bool = False,
) -> Image.Image:
    """Read an image file as an upright RGB picture, its colours in sRGB.

    The EXIF rotation and the colour profile are applied, transparency is laid on white, greyscale,
    palette, CMYK, LAB, 16-bit and float pictures are converted, and of an animation the first frame
    is taken. The resolution stays as `info["dpi"]`.

    Args:
        source: Path or open binary file.
        min_side: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 size (much faster), as long as
            both sides stay at or above this many pixels.
        max_side: Longest side that is wanted. Large pictures are reduced to it while they are
            converted.
        keep_alpha: Return an RGBA picture where there is transparency.

    Raises:
        InputError: There is no such file, or it is not a complete image, or it is too large.
    """
    name = str(source) if isinstance(source, (str, Path)) else getattr(source, "name", "image data")
    if isinstance(source, (str, Path)):
        check_file(Path(source))
    try:
        with opened(source) as image:
            limit = _most_pixels(image, keep_alpha)
            if image.width * image.height > limit:
                return _read_reduced(image, name, limit, min_side, max_side, keep_alpha)
            if min_side is not None:
                image.draft("RGB", (min_side, min_side))
            if max_side is not None and image.width * image.height > _WHOLE:
                wanted = limited_size(image.size, max_side)
                if math.prod(reducing_factors(image.size, wanted)) > 1:
                    image.load()
                    turn = _turn_of(image)
                    upright = image if turn is None else image.transpose(turn)
                    return _read_limited(upright, max_side, keep_alpha)
            image.load()
            turn = _turn_of(image)
            narrow = to_8_bit(image) if is_deep(image) else _plain(image)
        del image  # Nothing of it must stay in memory beside the result.
        picture = _to_srgb(narrow, keep_alpha=keep_alpha, is_own=True)
        return picture if turn is None else picture.transpose(turn)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(
            f"{name}: more than {MAX_PIXELS} pixels; make the image smaller first"
        ) from None
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: not an image that can be read (damaged, or not one of JPEG, PNG, WebP, BMP, "
            "TIFF, GIF, AVIF, HEIC)"
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
    if os.path.isdir(path):  # noqa: PTH112  Path's own raises where a link may not be followed.
        raise InputError(f"{path}: is a folder, not an image file")
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(f"{path}: a link to {path.readlink()}, which is not there") from None
        raise InputError(f"{path}: no such file (working directory: {Path.cwd()})") from None
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror})") from None
    if size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")


def named_bytes(data: bytes, name: str) -> BinaryIO:
    """Return a file in memory whose name error messages use."""
    stream = io.BytesIO(data)
    stream.name = name
    return stream


def to_rgb(image: Image.Image, *, keep_alpha: bool = False) -> Image.Image:
    """Convert any PIL image to an upright one in sRGB; transparency is laid on white, or kept.

    Of its `info` only `dpi` stays.
    """
    image.load()
    turn = _turn_of(image)
    return _to_srgb(image if turn is None else image.transpose(turn), keep_alpha=keep_alpha)


def is_plain(image: Image.Image) -> bool:
    """Tell whether :func:`to_rgb` would only copy a picture: it is upright RGB in sRGB already."""
    is_bare = type(image) is Image.Image and image.mode == "RGB" and image.info.keys() <= {"dpi"}
    return is_bare and _turn_of(image) is None  # EXIF can be set on a picture without its file.


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    with suppress(Exception):  # EXIF can be broken in any way, and is not the picture.
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _to_srgb(image: Image.Image, *, keep_alpha: bool, is_own: bool = False) -> Image.Image:
    """Do what :func:`to_rgb` does, but for the orientation; of a large one band by band.

    Args:
        image: Decoded.
        keep_alpha: Whether transparency stays.
        is_own: Whether nobody else has the picture: a large one is converted where it lies if its
            mode stays, and need not be in memory twice.
    """
    if is_deep(image):
        image, is_own = to_8_bit(image), True
    if image.width * image.height <= _WHOLE:
        return _converted(image, keep_alpha=keep_alpha)
    whole: Image.Image | None = None
    for top, band in _bands(image, max(1, _STRIP // image.width)):
        part = _converted(band, keep_alpha=keep_alpha)
        if whole is None:
            whole = (
                image if is_own and part.mode == image.mode else Image.new(part.mode, image.size)
            )
            info = part.info
        whole.paste(part, (0, top))
    if whole is None:
        return image
    whole.info = info
    return whole


def _plain(image: Image.Image) -> Image.Image:
    """Return a picture that knows nothing of its file any more, with the same pixels in memory."""
    plain = image._new(image.im)
    plain.readonly = image.readonly  # Of a buffer; before Pillow 11 a new picture forgets it.
    return plain


def _bands(image: Image.Image, step: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield where each band of so many rows begins, and the band."""
    for top in range(0, image.height, step):
        band = image.crop((0, top, image.width, min(top + step, image.height)))
        band.info = image.info
        yield top, band


def _converted(image: Image.Image, *, keep_alpha: bool) -> Image.Image:
    dpi, profile = resolution_of(image), image.info.get("icc_profile")
    if image.mode == "La":
        image = image.convert("LA")
    is_grey = image.mode in ("1", "L", "LA")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
    if has_alpha:
        picture = to_srgb(image.convert("RGBA"), profile, is_grey=is_grey)
        if not keep_alpha:
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture).convert("RGB")
    elif image.mode == "LAB":
        picture = lab_to_srgb(image)
    elif image.mode == "CMYK":
        picture = to_srgb(image, profile)
    else:
        picture = to_srgb(image.convert("RGB"), profile, is_grey=is_grey)
    # Other metadata would be written into outputs.
    picture.info = {} if dpi is None else {"dpi": dpi}
    return picture


def _most_pixels(image: Image.Image, keep_alpha: bool) -> int:
    """Return the most pixels of an open picture that is read whole.

    What becomes another mode, or is turned, is in memory twice on the way, which bounds it.
    """
    becomes = "RGBA" if keep_alpha and image.mode == "RGBA" else "RGB"
    is_small = image.mode in ("1", "L", "P") or image.mode.startswith("I;16")
    is_kept = _turn_of(image) is None and (is_small or image.mode == becomes)
    return MAX_PIXELS if is_kept else min(MAX_PIXELS, _MOST_COPIED)


def _read_reduced(
    image: Image.Image,
    name: str,
    limit: int,
    min_side: int | None,
    max_side: int | None,
    keep_alpha: bool,
) -> Image.Image:
    """Read a picture of more pixels than `limit` at the size that is wanted, band by band.

    Raises:
        InputError: No smaller size is wanted, or decoding takes more than `MAX_BYTES` all the same.
    """
    whole = image.size
    size = f"{whole[0]} x {whole[1]} is {whole[0] * whole[1] / 1e6:.0f} million pixels"
    goal = _goal(whole, min_side, max_side)
    if goal[0] * goal[1] > limit:
        what = "" if limit == MAX_PIXELS else " of a picture that has to be turned or converted"
        raise InputError(
            f"{name}: {size}, and at most {limit / 1e6:.0f}{what} are read whole; make it smaller "
            "first, or paint it with --max_side"
        )
    image.draft("RGB", (2 * goal[0], 2 * goal[1]))
    needed = decoding_bytes(image, whole)
    if needed > MAX_BYTES:
        raise InputError(
            f"{name}: {size}, and a file of this kind is only decoded whole, which takes "
            f"{needed / 1e9:.1f} GB (at most {MAX_BYTES / 1e9:.1f}); make it smaller first"
        )
    image.load()
    turn = _turn_of(image)
    small = _in_bands(image, goal, keep_alpha)
    return small if turn is None else small.transpose(turn)


def _read_limited(image: Image.Image, max_side: int, keep_alpha: bool) -> Image.Image:
    """Return what resizing the whole converted picture gives, to the bit; only bands are converted.

    Args:
        image: Decoded, upright, and so large that resizing begins with reducing it.
        max_side: Longest side of the result.
        keep_alpha: Whether transparency stays.
    """
    wanted = limited_size(image.size, max_side)
    (width, height), (across, down) = image.size, reducing_factors(image.size, wanted)
    if is_deep(image):
        image = to_8_bit(image)
    step = max(1, _BAND // width // down) * down
    parts, info = [], {}
    for _, band in _bands(image, step):
        part = _converted(band, keep_alpha=keep_alpha)
        info = part.info
        parts.append((part.convert("RGBa") if part.mode == "RGBA" else part).reduce((across, down)))
    small = Image.new(parts[0].mode, (-(-width // across), -(-height // down)))
    for index, part in enumerate(parts):
        small.paste(part, (0, index * step // down))
    box = (0, 0, width / across, height / down)
    picture = small.resize(wanted, Image.Resampling.LANCZOS, box=box)
    picture = picture.convert("RGBA") if picture.mode == "RGBa" else picture
    picture.info = info
    return picture


def _goal(size: tuple[int, int], min_side: int | None, max_side: int | None) -> tuple[int, int]:
    shares = [] if max_side is None else [max_side / max(size)]
    shares += [] if min_side is None else [min_side / min(size)]
    share = min(1.0, *shares) if shares else 1.0
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _in_bands(image: Image.Image, goal: tuple[int, int], keep_alpha: bool) -> Image.Image:
    """Return a decoded picture in sRGB, shrunk; only a band of it at once has its whole size."""
    width, height = image.size
    scale = height / goal[1]
    margin = math.ceil(4 * max(scale, 1))  # Further than the filter reaches.
    step = max(1, int(_BAND / width / scale))
    parts = []
    for start in range(0, goal[1], step):
        end = min(start + step, goal[1])
        first, last = start * scale, min(end * scale, height)
        top, bottom = max(0, int(first) - margin), min(height, math.ceil(last) + margin)
        band = _to_srgb(image.crop((0, top, width, bottom)), keep_alpha=keep_alpha)
        box = (0, first - top, width, last - top)
        size = (goal[0], end - start)
        parts.append(band.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
    picture = Image.new(parts[0].mode, goal)
    picture.info = parts[0].info
    for index, part in enumerate(parts):
        picture.paste(part, (0, index * step))
    return picture
