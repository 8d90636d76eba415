"""Frames to animated GIF, WebP and PNG, and to the pages of a TIFF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.image.metadata import metadata_options
from lgt.image.moving import Format
from lgt.image.profile import srgb_profile
from lgt.video.clip import Levels

_Prepare = Callable[[Sequence[Path]], tuple[Iterator[Image.Image], dict[str, Any]]]
"""Takes segments and gives pictures, with what `Image.save` needs to know of them."""

_NAMES = {"gif": "GIF", "webp": "WEBP", "apng": "PNG", "tiff": "TIFF"}
"""Pillow's names of the formats."""

_BAYER = np.array([[0, 2], [3, 1]])
for _ in range(2):
    _BAYER = np.block([[4 * _BAYER + n for n in row] for row in ([0, 2], [3, 1])])
_DITHER = (_BAYER / 64 - 0.5 + 1 / 128)[..., None]
"""Thresholds of ordered dithering, 8 x 8, in (-0.5, 0.5)."""
_DITHER_LEVELS = 16
"""Height of the dithering, of 255."""


def write_animation(
    kind: Format,
    segments: Sequence[Path],
    durations: Sequence[Fraction],
    path: Path,
    *,
    plays: int = 0,
    text: str = "",
) -> None:
    """Write a picture of several frames.

    Args:
        kind: A format without an encoder.
        segments: Of `write_segment`.
        durations: Of the frames, in seconds; rounded so that the sum stays right.
        path: Where to; appears when complete.
        plays: How often it is shown; 0: for ever.
        text: ASCII that `lgt.image.read_text` finds again.

    Raises:
        InputError: It can not be written.
    """
    pictures, options = _PREPARE[kind.muxer](segments)
    first = next(pictures)
    # Only the writer of GIF goes through them once; all of them keep what they wrote.
    rest = pictures if kind.muxer == "gif" else list(pictures)
    name = _NAMES[kind.muxer]
    if kind.muxer == "gif":  # It counts repetitions, not how often it is shown.
        options |= {"duration": _whole(durations, 10)}
        options |= {} if plays == 1 else {"loop": max(0, plays - 1)}
    elif kind.muxer != "tiff":
        options |= {"duration": _whole(durations, 1), "loop": plays}
    if kind.muxer != "gif":  # It holds no profile that Pillow writes.
        options["icc_profile"] = srgb_profile()
    options |= metadata_options(name, text or None, None, first.size)
    try:
        with atomic_write(path) as temporary:
            first.save(temporary, format=name, save_all=True, append_images=rest, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can not write the picture ({error})") from error


def _frames(segments: Sequence[Path]) -> Iterator[Levels]:
    for segment in segments:
        with np.load(segment) as arrays:
            yield from arrays["frames"]


def _plain(**options: Any) -> _Prepare:
    """Return what gives full-colour frames, and fixed options of the format."""
    return lambda segments: (map(Image.fromarray, _frames(segments)), dict(options))


def _indexed(segments: Sequence[Path]) -> tuple[Iterator[Image.Image], dict[str, Any]]:
    """Give GIF's frames one palette and a fixed dithering, so that neither flickers."""
    count = sum(1 for _ in _frames(segments))
    chosen = set(np.linspace(0, count - 1, min(16, count), dtype=int).tolist())
    samples = []
    for index, pixels in enumerate(_frames(segments)):
        if index in chosen:
            small = Image.fromarray(pixels)
            small.thumbnail((256, 256))
            samples.append(np.asarray(small))
    strip = Image.fromarray(np.concatenate(samples))
    palette = strip.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

    def indexed() -> Iterator[Image.Image]:
        for pixels in _frames(segments):
            height, width = pixels.shape[:2]
            pattern = np.tile(_DITHER, (height // 8 + 1, width // 8 + 1, 1))[:height, :width]
            dithered = np.clip(pixels + _DITHER_LEVELS * pattern, 0, 255).astype(np.uint8)
            yield Image.fromarray(dithered).quantize(palette=palette, dither=Image.Dither.NONE)

    return indexed(), {"disposal": 1, "optimize": False}


_PREPARE: dict[str, _Prepare] = {
    "gif": _indexed,
    "webp": _plain(quality=95),
    "apng": _plain(),
    "tiff": _plain(),
}


def _whole(durations: Sequence[Fraction], unit: int) -> list[int]:
    """Round durations to whole units; what rounding loses goes to the next frame.

    Args:
        durations: In seconds.
        unit: In milliseconds.

    Returns:
        Milliseconds.
    """
    result, owed = [], Fraction(0)
    for duration in durations:
        owed += duration * 1000 / unit
        whole = max(0, round(owed))
        owed -= whole
        result.append(unit * whole)
    return result
