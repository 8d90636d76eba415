"""Image files to Pillow's open files, whatever hinders Pillow alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError, features

from lgt.errors import InputError
from lgt.image.jpeg import MAX_SCANS, num_scans
from lgt.image.kinds import HEAD, PLUGINS, SUFFIXES, kind_of, named_kind
from lgt.image.png import without_large_texts
from lgt.image.tiff import is_misread, read_tiff

MAX_PIXELS = 178_956_970
"""Most pixels of an image that is read whole: about 13,377 x 13,377."""
MAX_BYTES = 4 * MAX_PIXELS
"""Most bytes that decoding may take."""


@contextmanager
def opened(
    source: Path | str | BinaryIO,
    formats: Iterable[str] = SUFFIXES,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Image.Image]:
    """Open an image file as `PIL.Image.open` does: nothing is decoded but what only tifffile reads.

    Unlike there, no size is refused (see :func:`decoding_bytes`), long texts of a PNG are left out,
    and the reader of HEIC is loaded where it is installed.

    Args:
        source: Path or open binary file.
        formats: Formats that are tried, by Pillow's names.
        name: What messages call it; None: its own.
        max_bytes: Most bytes of what is decoded at once.

    Raises:
        UnidentifiedImageError: It is none of them.
        InputError: Its reader is not installed; the message names the format.
    """
    with ExitStack() as stack:
        if isinstance(source, (str, Path)):
            stream: BinaryIO = stack.enter_context(Path(source).open("rb"))
            called = str(source)
        else:
            stream, called = source, getattr(source, "name", "image data")
        yield stack.enter_context(_opened(stream, name or called, formats, max_bytes))


def _opened(stream: BinaryIO, name: str, formats: Iterable[str], max_bytes: int) -> Image.Image:
    stream.seek(0)
    kind = kind_of(stream.read(HEAD))
    stream.seek(0)
    allowed = [each for each in formats if each not in PLUGINS]
    if kind in PLUGINS:
        if kind not in formats or not _has_reader(kind):
            raise _no_reader(name, kind, is_allowed=kind in formats)
        return Image.open(stream, formats=[kind])
    if kind is None or kind not in allowed:
        return Image.open(stream, formats=allowed)
    profile = None
    if kind == "JPEG" and num_scans(stream) > MAX_SCANS:
        raise InputError(
            f"{name}: has more than {MAX_SCANS} scans, each over the whole picture, where "
            "progressive files have about ten; save it again"
        )
    if kind == "PNG":
        stream, profile = without_large_texts(stream)
    try:
        factory = _factories().get(kind)
        # Pillow's own opening refuses by size what can be read reduced.
        image = Image.open(stream, formats=[kind]) if factory is None else factory(stream)
    except (SyntaxError, UnidentifiedImageError) as error:
        if kind == "TIFF":
            return read_tiff(stream, name, max_bytes)
        raise UnidentifiedImageError(str(error)) from error
    if kind == "TIFF" and is_misread(image):
        return read_tiff(stream, name, max_bytes)
    if profile is not None:
        image.info["icc_profile"] = profile
    if kind == "PNG":
        _scale_transparency(image)
    return image


def _scale_transparency(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to the 8 bits that its pixels are read as."""
    clear, tiles = image.info.get("transparency"), getattr(image, "tile", ())
    raw = tiles[0][3] if tiles else None
    if isinstance(clear, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = clear * (85 if raw == "L;2" else 17)
    elif isinstance(clear, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _factories() -> dict[str, Callable[[BinaryIO], Image.Image]]:
    from PIL import (
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
    )

    return {
        "JPEG": JpegImagePlugin.jpeg_factory,
        "PNG": PngImagePlugin.PngImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "PPM": PpmImagePlugin.PpmImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
    }


def _has_reader(kind: str) -> bool:
    if kind == "AVIF":
        return bool(features.check("avif"))
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _no_reader(name: str, kind: str, *, is_allowed: bool) -> InputError:
    if not is_allowed:
        return InputError(f"{name}: is {named_kind(kind)}, which is not taken; convert it to JPEG")
    return InputError(f"{name}: is {named_kind(kind)}; install its reader with: {PLUGINS[kind]}")


def decoding_bytes(image: Image.Image, whole: tuple[int, int]) -> int:
    """Return about how many bytes decoding an open image takes.

    Args:
        image: Open; its size may be set to be reduced.
        whole: Its width and height in the file.
    """
    each = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    needed = image.width * image.height * each
    layers = cast("list[tuple[int, int, int, int]]", getattr(image, "layer", []))
    if "progressive" in image.info and layers:
        # The coefficients of all scans, of 2 bytes each, are held at the whole size.
        largest = max(h * v for _, h, v, _ in layers)
        needed += 2 * whole[0] * whole[1] * sum(h * v for _, h, v, _ in layers) // largest
    return needed
