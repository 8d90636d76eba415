"""Pictures of several frames to frames: animated GIF, WebP, PNG and AVIF, and the pages of TIFF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image import opened_frames, to_rgb
from lgt.video.clip import Clip, Frame, Levels, damaged

_SLOWEST = Fraction(2, 100)
"""Durations below this are shown as 1/10 s by browsers, and so they are in videos."""


def open_animation(path: Path) -> Clip:
    """Look at a picture of several frames; transparency is laid on white.

    Raises:
        InputError: It can not be read, or its frames are of several sizes.
    """
    try:
        with opened_frames(path) as frames:
            kind = frames.kind
            indices = frames.shown()
            durations, sizes, has_alpha = [], set(), False
            for index in indices:
                image = frames.at(index)
                sizes.add(to_rgb(image).size)  # Only then does WebP tell how long it is shown.
                durations.append(Fraction(image.info.get("duration") or 0))
                has_alpha = has_alpha or _is_transparent(image)
            plays = _plays(kind, frames.loop)
    except InputError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        what = "a GIF" if path.suffix.lower() == ".gif" else "a picture of several frames"
        raise InputError(f"{path}: not {what} that can be read ({error})") from error
    if len(sizes) > 1:
        seen = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        raise InputError(
            f"{path}: its pages differ in size ({seen}); split it into a file for each page first"
        )
    is_paged = kind == "TIFF"
    seconds = float(sum(durations)) / 1000
    rate = Fraction(len(indices) / seconds).limit_denominator(1000) if seconds else Fraction(10)
    notes = []
    if has_alpha and kind != "GIF":  # Most GIFs use it to leave out what stays.
        notes.append(f"{path}: its transparency is laid on white, as in all moving pictures")
    return Clip(
        path,
        sizes.pop(),
        rate,
        len(indices),
        lambda: _decode(path, indices, durations),
        animation=kind,
        plays=1 if is_paged else plays,
        notes=tuple(notes),
    )


def _is_transparent(image: Image.Image) -> bool:
    """Tell whether any pixel lets something through; most animations have an alpha that is full."""
    if not image.has_transparency_data:
        return False
    lowest = image.convert("RGBA").getchannel("A").getextrema()[0]
    return isinstance(lowest, (int, float)) and lowest < 255


def _plays(kind: str, loop: int | None) -> int:
    """Return how often a file is shown, 0: for ever; GIF alone counts repetitions."""
    if kind == "GIF":
        return 1 if loop is None else loop and loop + 1
    return loop or 0


def _decode(path: Path, indices: list[int], durations: list[Fraction]) -> Iterator[Frame]:
    with opened_frames(path) as frames:
        start = Fraction(0)
        for number, (index, milliseconds) in enumerate(zip(indices, durations, strict=True)):
            try:
                rgb = to_rgb(frames.at(index))
            except Exception as error:
                raise damaged(path, number, start, error) from error
            duration = milliseconds / 1000
            yield Frame(start, duration, _sized(rgb))
            start += duration if duration >= _SLOWEST else Fraction(1, 10)


def _sized(image: Image.Image) -> Callable[[tuple[int, int] | None], Levels]:
    def pixels(size: tuple[int, int] | None) -> Levels:
        if size is None or size == image.size:
            return np.array(image)
        return np.array(image.resize(size, Image.Resampling.LANCZOS))

    return pixels
