"""Video files to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lgt.damage import in_short
from lgt.errors import InputError, LGTError
from lgt.image import MAX_PIXELS
from lgt.image.moving import import_av, is_framed
from lgt.video.animation import open_animation
from lgt.video.clip import Clip, Frame, Levels, damaged
from lgt.video.orientation import Orientation, orientation

_LONGEST = 10**9
"""Seconds, some thirty years: a file that says more is damaged."""
_HDR = {16: "PQ", 18: "HLG"}
BICUBIC, AREA = 0x4, 0x20
EXACT = 0x40000 | 0x2000 | 0x4000
"""FFmpeg's scaler flags for accurate rounding and full chroma; else colours lose a level or two."""


def open_clip(path: Path | str) -> Clip:
    """Look at a video, or at a picture of several frames.

    Raises:
        InputError: It is missing, empty, damaged, or holds no moving pictures.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a video")
    if not path.exists():
        raise InputError(f"{path}: no such file (working directory: {Path.cwd()})")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")
    clip = open_animation(path) if is_framed(path) else _open_video(path)
    if clip.size[0] * clip.size[1] > MAX_PIXELS:
        raise InputError(f"{path}: more than {MAX_PIXELS} pixels; make the video smaller first")
    return clip


def _open_video(path: Path) -> Clip:
    import_av(path)
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = _video_stream(path, container)
            context, tick = stream.codec_context, stream.time_base
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            count = stream.frames or None
            is_counted = count is not None
            if count is None and (seconds := _seconds(stream) or _seconds(container)):
                count = max(1, round(seconds * rate))
            aspect = stream.sample_aspect_ratio or Fraction(1)
            audio = tuple(s.codec_context.name for s in container.streams.audio)
            notes = []
            if context.color_trc in _HDR:
                notes.append(
                    f"{path}: {_HDR[context.color_trc]} high dynamic range is read as a standard "
                    "picture; its colours look dull"
                )
            first = next(container.decode(stream), None)
    except LGTError:
        raise
    except Exception as error:  # Not those of FFmpeg alone: names, rates and sizes may be anything.
        detail = getattr(error, "strerror", None) or in_short(error)
        raise InputError(
            f"{path}: not a video that can be read (damaged, incomplete, or of an unknown format: "
            f"{detail})"
        ) from error
    if first is None:
        raise InputError(f"{path}: holds no frames; is the file complete?")
    turn = orientation(first)
    size = (first.width, first.height)
    return Clip(
        path,
        size[::-1] if turn.is_transposed else size,
        Fraction(rate),
        count,
        lambda: _decode(path, size, turn),
        pixel_aspect=1 / Fraction(aspect) if turn.is_transposed else Fraction(aspect),
        audio=audio,
        origin=Fraction((first.pts or 0) * tick),
        notes=tuple(notes),
        reaches_end=lambda: not is_counted and _reaches_end(path),
    )


def _seconds(part: Any) -> Fraction | None:
    """Return how long a stream or a whole file says that it lasts; Matroska says so in a tag."""
    if part.duration:
        return Fraction(part.duration * (getattr(part, "time_base", None) or Fraction(1, 10**6)))
    tags = {key.upper(): value for key, value in part.metadata.items()}
    hours, _, rest = tags.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        length = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds[:20])
    except (ValueError, ZeroDivisionError):
        return None
    return length if 0 < length < _LONGEST else None


def _reaches_end(path: Path) -> bool:
    """Tell whether some stream goes on to the end that the file names: sound may outlast pictures,
    and frames may be fewer than their rate lets expect."""
    import av

    end = Fraction(0)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            total = _seconds(container) or Fraction(0)
            start = Fraction(container.start_time or 0, 10**6)
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    shown = packet.pts + (packet.duration or 0)
                    end = max(end, Fraction(shown * packet.time_base) - start)
    except Exception:  # Whatever is wrong with it: then it does not.
        return False
    return end >= Fraction(9, 10) * total


def _video_stream(path: Path, container: Any) -> Any:
    """Return the first stream of moving pictures; the cover of a song is none."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise InputError(f"{path}: holds no video (only {', '.join(kinds)})")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _decode(path: Path, coded: tuple[int, int], turn: Orientation) -> Iterator[Frame]:
    """Decode a video; times start at 0 and grow, also where the file's do not."""
    import av

    index, last, origin = 0, Fraction(-1), None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = _video_stream(path, container)
            tick = stream.time_base
            step = 1 / Fraction(stream.average_rate or 25)
            for frame in container.decode(stream):
                given = None if frame.pts is None else Fraction(frame.pts * tick)
                origin = given if origin is None else origin
                time = last + step if given is None or origin is None else given - origin
                if index == 0 or time <= last:
                    time = Fraction(0) if index == 0 else last + max(tick, step / 1000)
                duration = Fraction((frame.duration or 0) * tick)
                yield Frame(time, duration, _upright(frame, coded, turn))
                index, last = index + 1, time
    except (GeneratorExit, LGTError):
        raise
    except Exception as error:
        raise damaged(path, index, last, error) from error


def _upright(frame: Any, coded: tuple[int, int], turn: Orientation) -> Callable[..., Levels]:
    def pixels(size: tuple[int, int] | None) -> Levels:
        width, height = coded
        if size is not None:
            width, height = size[::-1] if turn.is_transposed else size
        is_same = (width, height) == (frame.width, frame.height)
        # Where a file does not name its colours, large pictures are BT.709 and small ones BT.601.
        matrix = {2: 1 if frame.height >= 720 else 5}.get(frame.colorspace, frame.colorspace)
        rgb = frame.reformat(
            width,
            height,
            format="rgb24",
            src_colorspace=matrix,
            interpolation=EXACT | (BICUBIC if is_same else AREA),
        )
        return np.ascontiguousarray(turn.upright(rgb.to_ndarray()))

    return pixels
