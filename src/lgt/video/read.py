"""Video files and animated GIFs to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image import MAX_PIXELS, to_rgb
from lgt.video.formats import import_av

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_HDR = {16: "PQ", 18: "HLG"}
BICUBIC, AREA = 0x4, 0x20
EXACT = 0x40000 | 0x2000 | 0x4000
"""FFmpeg's scaler flags for accurate rounding and full chroma; else colours lose a level or two."""
_SLOWEST = Fraction(2, 100)
"""GIF durations below this are shown as 1/10 s by browsers, and so they are in other formats."""


@dataclass(frozen=True)
class Frame:
    """A frame of a clip."""

    time: Fraction
    """When it is shown, in seconds after the first one."""
    duration: Fraction
    """How long, in seconds, where the file says so; 0 where not."""
    pixels: Callable[[tuple[int, int] | None], Pixels]
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
    is_gif: bool = False
    loop: int | None = None
    """How often a GIF is repeated; 0: for ever; None: not at all."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    audio: tuple[str, ...] = ()
    """Codecs of the audio streams."""
    origin: Fraction = Fraction(0)
    """When the first frame is shown, in the time of the file."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file."""


def open_clip(path: Path | str) -> Clip:
    """Look at a video or GIF.

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
    clip = _open_gif(path) if path.suffix.lower() == ".gif" else _open_video(path)
    if clip.size[0] * clip.size[1] > MAX_PIXELS:
        raise InputError(f"{path}: more than {MAX_PIXELS} pixels; make the video smaller first")
    return clip


def _open_gif(path: Path) -> Clip:
    try:
        with Image.open(path, formats=["GIF"]) as image:
            count = getattr(image, "n_frames", 1)
            durations = []
            for index in range(count):
                image.seek(index)
                durations.append(image.info.get("duration", 0))
            size, loop = image.size, image.info.get("loop")
    except Exception as error:  # decoders raise almost anything on damaged data
        raise InputError(f"{path}: not a GIF that can be read ({error})") from error
    seconds = float(sum(durations)) / 1000
    rate = Fraction(count / seconds).limit_denominator(1000) if seconds else Fraction(10)

    def frames() -> Iterator[Frame]:
        with Image.open(path, formats=["GIF"]) as image:
            start = Fraction(0)
            for index, milliseconds in enumerate(durations):
                try:
                    image.seek(index)
                    rgb = to_rgb(image)
                except Exception as error:
                    raise _damaged(path, index, start, error) from error
                duration = Fraction(milliseconds) / 1000
                yield Frame(start, duration, _sized(rgb))
                start += duration if duration >= _SLOWEST else Fraction(1, 10)

    return Clip(path, size, rate, count, frames, is_gif=True, loop=loop)


def _sized(image: Image.Image) -> Callable[[tuple[int, int] | None], Pixels]:
    def pixels(size: tuple[int, int] | None) -> Pixels:
        if size is None or size == image.size:
            return np.array(image)
        return np.array(image.resize(size, Image.Resampling.LANCZOS))

    return pixels


def _open_video(path: Path) -> Clip:
    import_av(path)
    import av

    try:
        with av.open(str(path)) as container:
            stream = _video_stream(path, container)
            context, tick = stream.codec_context, stream.time_base
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            count = stream.frames or None
            if count is None and container.duration:
                count = max(1, round(container.duration / 1_000_000 * rate))
            aspect = stream.sample_aspect_ratio or Fraction(1)
            audio = tuple(s.codec_context.name for s in container.streams.audio)
            notes = []
            if context.color_trc in _HDR:
                notes.append(
                    f"{path}: {_HDR[context.color_trc]} high dynamic range is read as a standard "
                    "picture; its colours look dull"
                )
            first = next(container.decode(stream), None)
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: not a video that can be read (damaged, incomplete, or of an unknown format: "
            f"{error.strerror})"
        ) from error
    if first is None:
        raise InputError(f"{path}: holds no frames; is the file complete?")
    turns = round(first.rotation / 90) % 4
    size = (first.width, first.height)
    return Clip(
        path,
        size[::-1] if turns % 2 else size,
        Fraction(rate),
        count,
        lambda: _decode(path, (first.width, first.height), turns),
        pixel_aspect=1 / Fraction(aspect) if turns % 2 else Fraction(aspect),
        audio=audio,
        origin=Fraction((first.pts or 0) * tick),
        notes=tuple(notes),
    )


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


def _decode(path: Path, coded: tuple[int, int], turns: int) -> Iterator[Frame]:
    """Decode a video; times start at 0 and grow, also where the file's do not."""
    import av

    index, last, origin = 0, Fraction(-1), None
    try:
        with av.open(str(path)) as container:
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
                yield Frame(time, duration, _upright(frame, coded, turns))
                index, last = index + 1, time
    except av.FFmpegError as error:
        raise _damaged(path, index, last, error) from error


def _upright(frame: Any, coded: tuple[int, int], turns: int) -> Callable[..., Pixels]:
    def pixels(size: tuple[int, int] | None) -> Pixels:
        width, height = coded
        if size is not None:
            width, height = size[::-1] if turns % 2 else size
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
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns))

    return pixels


def _damaged(path: Path, index: int, time: Fraction, error: Exception) -> InputError:
    detail = getattr(error, "strerror", None) or error
    is_gif = path.suffix.lower() == ".gif"
    advice = "" if is_gif else "; FFmpeg may repair it: ffmpeg -i IN -c copy repaired.mkv"
    place = f"after frame {index} ({float(max(time, Fraction(0))):.2f} s)"
    return InputError(f"{path}: damaged {place}: {detail}{advice}")
