"""What is known of a video or an animated picture, and its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lgt.errors import InputError
from lgt.image.moving import is_framed

Levels = np.ndarray[Any, np.dtype[np.uint8]]
"""A frame `[H, W, 3]`, RGB of 8 bits."""


@dataclass(frozen=True)
class Frame:
    """A frame of a clip."""

    time: Fraction
    """When it is shown, in seconds after the first one."""
    duration: Fraction
    """How long, in seconds, where the file says so; 0 where not."""
    pixels: Callable[[tuple[int, int] | None], Levels]
    """Gives RGB `[H, W, 3]`, upright; in another size (width, height) where one is asked for."""


@dataclass(frozen=True)
class Clip:
    """What is known of a video before it is decoded."""

    path: Path
    size: tuple[int, int]
    """Width and height in pixels, upright."""
    rate: Fraction
    """Mean frames a second."""
    num_frames: int | None
    """As the file says, which may be wrong; None: it does not say."""
    frames: Callable[[], Iterator[Frame]] = field(repr=False)
    """Decodes from the start."""
    animation: str | None = None
    """Pillow's name of the format of an animated picture, such as `GIF`; None: a video."""
    plays: int = 0
    """How often an animated picture is shown; 0: for ever."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    audio: tuple[str, ...] = ()
    """Codecs of the audio streams."""
    origin: Fraction = Fraction(0)
    """When the first frame is shown, in the time of the file."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file."""
    reaches_end: Callable[[], bool] = field(default=lambda: False, repr=False)
    """Tells whether the file goes on to where it says, whatever its number of frames."""

    @property
    def is_paged(self) -> bool:
        """Whether its frames are pages, which have no times."""
        return self.animation == "TIFF"


def damaged(path: Path, index: int, time: Fraction, error: Exception) -> InputError:
    """Return the error of a file that can not be read on after a frame."""
    detail = getattr(error, "strerror", None) or error
    advice = "; FFmpeg may repair it: ffmpeg -i IN -c copy repaired.mkv"
    place = f"after frame {index} ({float(max(time, Fraction(0))):.2f} s)"
    return InputError(f"{path}: damaged {place}: {detail}{'' if is_framed(path) else advice}")
