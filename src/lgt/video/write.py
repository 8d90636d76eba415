"""Frames to segments, and segments with the source's audio to one file."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lgt.damage import in_short
from lgt.errors import InputError, LGTError
from lgt.files import atomic_write
from lgt.image.moving import Format
from lgt.video.clip import Clip, Levels
from lgt.video.read import BICUBIC, EXACT

_BT709, _LIMITED = 1, 1
_FASTER = {"libvpx-vp9": {"b:v": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}}


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest even width and height that hold a size."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def write_segment(
    frames: Sequence[Levels],
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
    except LGTError:
        raise
    except Exception as error:  # Times and audio of a damaged source may be anything.
        raise InputError(f"{path}: can not write the video ({in_short(error)})") from error


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
            av.open(str(clip.path), metadata_errors="replace") as source,
            av.open(str(segments[0]), metadata_errors="replace") as first,
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
    except LGTError:
        raise
    except Exception as error:  # Times and audio of a damaged source may be anything.
        raise InputError(f"{path}: can not write the video ({in_short(error)})") from error


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
        with av.open(str(path), metadata_errors="replace") as container:
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

    with av.open(str(path), metadata_errors="replace") as container:
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

    with av.open(str(path), metadata_errors="replace") as container:
        for frame in container.decode(audio=index):
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(origin / frame.time_base)
            yield from timed(stream.encode(frame))
        yield from timed(stream.encode(None))
