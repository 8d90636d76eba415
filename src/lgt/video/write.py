"""Frames to segments, and segments with the source's audio to one file."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.video.formats import Format
from lgt.video.read import BICUBIC, EXACT, Clip, Pixels

_BT709, _LIMITED = 1, 1
_FASTER = {"libvpx-vp9": {"b:v": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}}


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest even width and height that hold a size."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def write_segment(
    frames: Sequence[Pixels],
    path: Path,
    kind: Format,
    *,
    rate: Fraction,
    crf: int,
    pixel_aspect: Fraction = Fraction(1),
) -> None:
    """Encode a run of frames so that its packets can be strung together with those of others.

    Frames of odd size are padded by their edge where the codec needs even sides. No frame refers to
    a later one, so packets come in the order of the frames, one each.

    Args:
        frames: RGB `[H, W, 3]`, all of one size.
        path: Where to; appears when complete.
        kind: Of the final file.
        rate: Mean frames a second, by which the encoder shares out its bits.
        crf: Quality; smaller is better.
        pixel_aspect: Width of a pixel over its height.

    Raises:
        InputError: It can not be encoded or written.
    """
    if not kind.encoder:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, frames=np.stack(frames))
        return
    import av

    height, width = frames[0].shape[:2]
    extra = (height % 2, width % 2) if kind.needs_even else (0, 0)
    try:
        with (
            atomic_write(path) as temporary,
            av.open(str(temporary), "w", format="matroska") as container,
        ):
            options = {"crf": str(crf), "bf": "0", **_FASTER.get(kind.encoder, {})}
            stream: Any = container.add_stream(kind.encoder, rate=rate, options=options)
            stream.width, stream.height = width + extra[1], height + extra[0]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = 1 / rate
            context.sample_aspect_ratio = pixel_aspect
            context.gop_size = max(1, len(frames))
            context.color_range = _LIMITED
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            for index, pixels in enumerate(frames):
                if any(extra):
                    pixels = np.pad(pixels, ((0, extra[0]), (0, extra[1]), (0, 0)), "edge")
                rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame = rgb.reformat(
                    format="yuv420p",
                    dst_colorspace=_BT709,
                    dst_color_range=_LIMITED,
                    interpolation=EXACT | BICUBIC,
                )
                frame.pts, frame.time_base = index, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: can not write the video ({error})") from error


def write_video(
    segments: Sequence[Path],
    times: Sequence[tuple[Fraction, Fraction]],
    path: Path,
    kind: Format,
    clip: Clip,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """String segments together, unchanged, with the times and the audio of the source.

    Args:
        segments: Of :func:`write_segment`, in order.
        times: Start and duration of each frame in seconds.
        path: Where to; appears when complete.
        kind: Its format.
        clip: The source.
        metadata: Tags of the file, such as `comment`.

    Raises:
        InputError: It can not be written.
    """
    import av

    try:
        with (
            atomic_write(path) as temporary,
            av.open(str(clip.path)) as source,
            av.open(str(segments[0])) as first,
            av.open(
                str(temporary),
                "w",
                format=kind.muxer,
                container_options={"movflags": "+faststart"} if "m" in kind.muxer[:2] else {},
            ) as output,
        ):
            output.metadata.update(metadata or {})
            video: Any = output.add_stream_from_template(first.streams.video[0])
            tick = _tick(times)
            video.time_base = tick
            streams: list[Iterable[tuple[float, Any]]] = [_video(segments, times, tick, video)]
            for index, stream in enumerate(source.streams.audio):
                name = stream.codec_context.name
                if kind.audio is None or name in kind.audio:
                    copy = output.add_stream_from_template(stream)
                    streams.append(_copied(clip.path, index, copy, clip.origin))
                else:
                    encoder = output.add_stream(kind.audio_encoder)
                    streams.append(_encoded(clip.path, index, encoder, clip.origin))
            for _, packet in heapq.merge(*streams, key=lambda item: item[0]):
                output.mux_one(packet)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: can not write the video ({error})") from error


def _tick(times: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """Return a unit of time in which all starts are whole, at least 1/90000 s."""
    denominator = 1
    for start, _ in times:
        denominator = int(np.lcm(denominator, start.denominator))
        if denominator > 90_000:
            return Fraction(1, 90_000)
    return Fraction(1, max(denominator, 1000) if 1000 % denominator == 0 else denominator)


def _video(
    segments: Sequence[Path],
    times: Sequence[tuple[Fraction, Fraction]],
    tick: Fraction,
    stream: Any,
) -> Iterator[tuple[float, Any]]:
    import av

    index = 0
    for path in segments:
        with av.open(str(path)) as container:
            for packet in container.demux(video=0):
                if packet.size == 0:
                    continue
                start, duration = times[index]
                packet.time_base = tick
                packet.pts = packet.dts = round(start / tick)
                packet.duration = round(duration / tick)
                packet.stream = stream
                yield float(start), packet
                index += 1
    if index != len(times):
        raise InputError(
            f"{segments[0].parent}: holds {index} frames and should hold {len(times)}; delete the "
            "folder and start again"
        )


def _copied(path: Path, index: int, stream: Any, origin: Fraction) -> Iterator[tuple[float, Any]]:
    """Yield the packets of an audio stream as they are, with the video's first frame at 0."""
    import av

    with av.open(str(path)) as container:
        for packet in container.demux(audio=index):
            if packet.dts is None or packet.time_base is None:
                continue
            shift = round(origin / packet.time_base)
            packet.pts, packet.dts = (packet.pts or packet.dts) - shift, packet.dts - shift
            packet.stream = stream
            yield float(packet.dts * packet.time_base), packet


def _encoded(path: Path, index: int, stream: Any, origin: Fraction) -> Iterator[tuple[float, Any]]:
    """Yield the packets of an audio stream in another codec."""
    import av

    def timed(packets: list[Any]) -> Iterator[tuple[float, Any]]:
        for packet in packets:
            yield float((packet.pts or 0) * packet.time_base), packet

    with av.open(str(path)) as container:
        for frame in container.decode(audio=index):
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(origin / frame.time_base)
            yield from timed(stream.encode(frame))
        yield from timed(stream.encode(None))


_BAYER = np.array([[0, 2], [3, 1]])
for _ in range(2):
    _BAYER = np.block([[4 * _BAYER + n for n in row] for row in ([0, 2], [3, 1])])
_DITHER = (_BAYER / 64 - 0.5 + 1 / 128)[..., None]
"""Thresholds of ordered dithering, 8 x 8, in (-0.5, 0.5)."""
_DITHER_LEVELS = 16
"""Height of the dithering, of 255."""


def write_gif(
    segments: Sequence[Path],
    durations: Sequence[Fraction],
    path: Path,
    *,
    loop: int | None = 0,
    comment: str = "",
) -> None:
    """Write a GIF with one palette for all frames and a fixed dithering, so that neither flickers.

    Args:
        segments: Of :func:`write_segment`.
        durations: Of the frames, in seconds; rounded to 1/100 s so that the sum stays right.
        path: Where to; appears when complete.
        loop: Repetitions; 0: for ever; None: shown once.
        comment: Text of the file.
    """
    from PIL import Image

    def frames() -> Iterator[Pixels]:
        for segment in segments:
            with np.load(segment) as arrays:
                yield from arrays["frames"]

    chosen = set(np.linspace(0, len(durations) - 1, min(16, len(durations)), dtype=int).tolist())
    samples = []
    for index, pixels in enumerate(frames()):
        if index in chosen:
            small = Image.fromarray(pixels)
            small.thumbnail((256, 256))
            samples.append(np.asarray(small))
    strip = Image.fromarray(np.concatenate(samples))
    palette = strip.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

    def indexed() -> Iterator[Image.Image]:
        for pixels in frames():
            height, width = pixels.shape[:2]
            pattern = np.tile(_DITHER, (height // 8 + 1, width // 8 + 1, 1))[:height, :width]
            dithered = np.clip(pixels + _DITHER_LEVELS * pattern, 0, 255).astype(np.uint8)
            yield Image.fromarray(dithered).quantize(palette=palette, dither=Image.Dither.NONE)

    pictures = indexed()
    options: dict[str, Any] = {} if loop is None else {"loop": loop}
    if comment:
        options["comment"] = comment.encode()
    try:
        with atomic_write(path) as temporary:
            next(pictures).save(
                temporary,
                format="GIF",
                save_all=True,
                append_images=pictures,
                duration=_hundredths(durations),
                disposal=1,
                optimize=False,
                **options,
            )
    except OSError as error:
        raise InputError(f"{path}: can not write the GIF ({error})") from error


def _hundredths(durations: Sequence[Fraction]) -> list[int]:
    """Round durations to 1/100 s, in milliseconds; what rounding loses goes to the next frame."""
    result, owed = [], Fraction(0)
    for duration in durations:
        owed += duration * 100
        whole = max(0, round(owed))
        owed -= whole
        result.append(10 * whole)
    return result
