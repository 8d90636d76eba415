"""Pictures of several frames: animated GIF, WebP, PNG and AVIF, and the pages of TIFF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from lgt.errors import InputError
from lgt.image.kinds import HEAD, kind_of
from lgt.image.opening import MAX_BYTES, MAX_PIXELS, opened
from lgt.image.tiff import is_aside, is_misread, pages_of_tiff, read_tiff

FRAMED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")
"""Pillow's names of the formats of pictures that may hold several frames."""


class Frames:
    """The frames of an open file, each whichever way reads it rightly.

    Args:
        stream: The file.
        image: As Pillow opens it; None: a TIFF that only tifffile reads.
        name: What messages call it.
    """

    def __init__(self, stream: BinaryIO, image: Image.Image | None, name: str) -> None:
        self._stream, self._image, self._name = stream, image, name
        self.kind = "TIFF" if image is None else str(image.format)
        """Pillow's name of the format."""

    @property
    def loop(self) -> int | None:
        """What the file says about being shown again."""
        return None if self._image is None else self._image.info.get("loop")

    def shown(self) -> list[int]:
        """Return which frames are shown: no still for programs that know no APNG, no thumbnails."""
        image = self._image
        if image is None:
            return pages_of_tiff(self._stream, self._name)
        indices = range(int(getattr(image, "n_frames", 1)))
        if self.kind == "TIFF":
            return [index for index in indices if index == 0 or not _is_aside(image, index)]
        is_still = bool(image.info.get("default_image")) and len(indices) > 1
        return list(indices[1:] if is_still else indices)

    def at(self, index: int) -> Image.Image:
        """Return a frame, which is whole until the next one is asked for.

        Raises:
            InputError: It is too large, or a page that can not be read.
        """
        image = self._image
        if image is not None and self._sought(image, index):
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{self._name}: more than {MAX_PIXELS} pixels a frame")
            return image
        return read_tiff(self._stream, self._name, MAX_BYTES, index)

    def _sought(self, image: Image.Image, index: int) -> bool:
        """Go to a frame; return whether Pillow reads it, and rightly."""
        image.seek(index)
        return self.kind != "TIFF" or not is_misread(image)


def _is_aside(image: Image.Image, index: int) -> bool:
    image.seek(index)
    return is_aside(getattr(image, "tag_v2", {}).get(254, 0))


@contextmanager
def opened_frames(source: Path | BinaryIO, name: str | None = None) -> Iterator[Frames]:
    """Open a picture that may hold several frames.

    Args:
        source: Path or open binary file.
        name: What messages call it; None: its own.

    Raises:
        UnidentifiedImageError: It is none.
        InputError: Its reader is not installed; the message names the format.
    """
    with ExitStack() as stack:
        stream: BinaryIO = (
            stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        )
        called = name or (str(source) if isinstance(source, Path) else "image data")
        stream.seek(0)
        if kind_of(stream.read(HEAD)) != "TIFF":
            image = stack.enter_context(opened(stream, FRAMED, name=called))
            yield Frames(stream, image, called)
            return
        stream.seek(0)
        yield Frames(stream, _tiff(stream), called)


def _tiff(stream: BinaryIO) -> Image.Image | None:
    """Return a TIFF as Pillow opens it; None where a page is of a kind that stops Pillow."""
    try:
        image = TiffImagePlugin.TiffImageFile(stream)
        return image if image.n_frames else None
    except SyntaxError:
        return None
