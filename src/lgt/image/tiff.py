"""TIFF files that Pillow does not read, or not rightly, through tifffile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.image.deep import SIGNED_LEVELS, WHOLE_LEVELS, Array, Scale, scale_of, strips

if TYPE_CHECKING:
    from types import ModuleType

    from tifffile import TiffPage

_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 262, 277, 284, 339
_XRES, _YRES, _UNIT, _PROFILE, _ORIENTATION = 282, 283, 296, 34675, 274
_WHITE_IS_ZERO, _GREY, _RGB, _CMYK = 0, 1, 2, 5
_CHANNELS = {_WHITE_IS_ZERO: 1, _GREY: 1, _RGB: 3, _CMYK: 4}
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PREMULTIPLIED, _ALPHA = 1, 2


def is_misread(image: Image.Image) -> bool:
    """Tell TIFF files that Pillow opens and reads wrongly.

    These are planes of more than 8 bits, unsigned whole numbers of 32 bits, and pictures of more
    than 8 bits whose zero is white.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    bits = max(tags.get(_BITS, (1,)))
    is_planar = tags.get(_PLANAR) == 2 and tags.get(_SAMPLES, 1) > 1
    is_unsigned = max(tags.get(_FORMAT, (1,))) == 1
    is_negative = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return bool(bits > 8 and (is_planar or is_negative or (bits == 32 and is_unsigned)))


def is_aside(kind: int) -> bool:
    """Tell the thumbnail or mask of a TIFF's page from a page, by the tag NewSubfileType."""
    return bool(int(kind) & (1 | 4))


def pages_of_tiff(stream: BinaryIO, name: str) -> list[int]:
    """Return which pages of a TIFF are shown, as tifffile counts them; of a damaged one the first.

    Raises:
        InputError: tifffile is missing.
    """
    tifffile = _tifffile(name)
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream, name=name) as file:
            kinds = [int(file.pages[index].subfiletype) for index in range(len(file.pages))]
    except Exception:  # Decoders raise almost anything; who reads the picture says what is wrong.
        return [0]
    return [index for index, kind in enumerate(kinds) if index == 0 or not is_aside(kind)]


def _tifffile(name: str) -> ModuleType:
    try:
        import tifffile
    except ImportError:
        raise InputError(
            f"{name}: this kind of TIFF (float, planes or 32 bits) needs tifffile; install it "
            "with: pip install tifffile"
        ) from None
    return tifffile


def read_tiff(stream: BinaryIO, name: str, max_bytes: int, index: int = 0) -> Image.Image:
    """Read a picture of a TIFF as mode `L`, `LA`, `RGB`, `RGBA` or `CMYK`.

    Its `info` holds the colour profile, the resolution and the orientation, as Pillow gives them.

    Args:
        stream: The file.
        name: What messages call it.
        max_bytes: Most bytes of its values.
        index: Which of its pictures.

    Raises:
        InputError: It holds no picture that can be read, or tifffile is missing.
    """
    tifffile = _tifffile(name)
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream, name=name) as file:
            page = file.pages.first if index == 0 else file.pages[index]
            if page.nbytes > max_bytes:
                raise InputError(
                    f"{name}: needs {page.nbytes / 1e6:.0f} MB of memory, and "
                    f"{max_bytes / 1e6:.0f} are allowed; make the image smaller first"
                )
            return _picture(page, name)
    except InputError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        if "imagecodecs" in str(error):
            compression = getattr(page.compression, "name", "unknown")
            raise InputError(
                f"{name}: this TIFF is compressed ({compression}); install its reader with: "
                f"{pip_install('tiff')}, or save it uncompressed"
            ) from error
        detail = str(error) or type(error).__name__
        raise InputError(f"{name}: the image is damaged or incomplete ({detail})") from error


def _picture(page: TiffPage, name: str) -> Image.Image:
    photometric = int(page.photometric)
    count = _CHANNELS.get(photometric)
    values = np.asarray(page.asarray())
    if values.dtype == np.float16:  # Its largest number is too small to compare with.
        values = values.astype(np.float32)
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    elif page.axes == "YX":
        values = values[..., None]
    elif page.axes != "YXS":
        count = None
    if count is None or values.shape[-1] < count or not _is_number(values):
        raise InputError(
            f"{name}: a TIFF of this kind is not read (axes {page.axes}, {values.dtype}, colours "
            f"{getattr(page.photometric, 'name', photometric)}); save it as RGB or grey"
        )
    extra = [int(kind) for kind in page.extrasamples][: values.shape[-1] - count]
    bits = int(page.bitspersample)
    # Of 16 bits and several colours the upper 8 count, as in what Pillow reads itself.
    has_upper = values.dtype == np.uint16 and bits == 16 and count > 1
    is_inverted = photometric == _WHITE_IS_ZERO
    parts = [_channels(values[..., :count], bits, has_upper, is_inverted=is_inverted)]
    has_alpha = bool(extra) and extra[0] in (_PREMULTIPLIED, _ALPHA) and count < 4
    if has_alpha:
        parts.append(_channels(values[..., count : count + 1], bits, has_upper))
    pixels = np.concatenate(parts, axis=-1) if has_alpha else parts[0]
    mode = _MODES[count] + ("A" if has_alpha else "")
    size = (pixels.shape[1], pixels.shape[0])
    image = Image.frombytes(mode, size, pixels.tobytes())
    if has_alpha and extra[0] == _PREMULTIPLIED:
        image = Image.frombytes(mode[:-1] + "a", size, pixels.tobytes()).convert(mode)
    image.info.update(_info(page))
    return image


def _is_number(values: Array) -> bool:
    return values.dtype.kind in "uif"


def _channels(values: Array, bits: int, has_upper: bool, *, is_inverted: bool = False) -> Array:
    """Return channels `[H, W, C]` with 8 bits."""
    height, width, count = values.shape
    is_float = values.dtype.kind == "f"
    if values.dtype.kind == "u" and bits <= 16:
        scale = Scale(2.0**bits - 1)
    else:
        scale = scale_of(
            lambda start, end: values[start:end],
            height,
            width * count,
            is_float=is_float,
            whole_levels=SIGNED_LEVELS if values.dtype == np.int16 else WHOLE_LEVELS,
        )
    scale = Scale(scale.white, scale.black, is_inverted)
    pixels = np.empty(values.shape, np.uint8)
    for start, end in strips(height, width * count):
        part = values[start:end]
        pixels[start:end] = part >> 8 if has_upper else scale(part)
    return pixels


def _info(page: TiffPage) -> dict[str, Any]:
    values = {code: page.tags[code].value for code in (_XRES, _YRES, _UNIT) if code in page.tags}
    info: dict[str, Any] = {}
    if _PROFILE in page.tags:
        info["icc_profile"] = bytes(page.tags[_PROFILE].value)
    factor = {2: 1.0, 3: 2.54}.get(int(values.get(_UNIT, 2)))
    if factor and _XRES in values and _YRES in values:
        ratios = (values[_XRES], values[_YRES])
        if all(bottom for _, bottom in ratios):
            info["dpi"] = tuple(factor * top / bottom for top, bottom in ratios)
    if _ORIENTATION in page.tags:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = int(page.tags[_ORIENTATION].value)
        info["exif"] = exif.tobytes()
    return info
