"""`transfer_video`: a video or animated picture painted frame by frame, steady and resumable."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from lgt import __version__
from lgt.codec import LatentCodec
from lgt.config import config_to_dict
from lgt.errors import InputError
from lgt.image import soft_mask
from lgt.image.moving import Format, format_of, import_av
from lgt.model.styles import Style
from lgt.paint.control import Controls, limited_size
from lgt.paint.transfer import LGTInference
from lgt.video.clip import Clip, Frame, Pixels
from lgt.video.paint import FramePainter, Layer
from lgt.video.read import open_clip
from lgt.video.smooth import TemporalFilter
from lgt.video.work import WorkFolder
from lgt.video.write import even_size, write_segment, write_video
from lgt.video.write_animation import write_animation

SMOOTH = 0.85
"""Share of the last frame that is kept where nothing changes, unless asked otherwise."""

SEGMENT_FRAMES = 48
SEGMENT_PIXELS = 25_000_000
"""A segment is as many frames as hold this many pixels, at most `SEGMENT_FRAMES`."""

BATCH_PIXELS = {"cpu": 2**18}
"""Pixels of the frames painted at once, by device; a GPU gets `2**21`."""

_NAMES = {"gif": "a GIF", "webp": "a WebP picture", "apng": "a PNG picture"}

_GIF_STEP = Fraction(2, 100)
"""Shortest time that browsers show a frame of a GIF for."""


@dataclass(frozen=True)
class VideoProgress:
    """How far a video is."""

    done: int
    """Frames that are finished."""
    total: int
    """Frames of the video, as far as the file says."""
    skipped: int
    """Frames that an earlier run had finished."""
    failed: int = 0


@dataclass(frozen=True)
class VideoResult:
    """What :func:`transfer_video` made."""

    path: Path
    num_frames: int
    size: tuple[int, int]
    """Width and height of the file, in pixels."""
    seconds: float
    """Length of the video; 0 for pages, which have no times."""
    skipped: int
    """Frames that an earlier run had finished."""
    took: float
    """Seconds of work."""
    notes: tuple[str, ...] = ()
    """What a user should know."""


def transfer_video(
    source: Path | str,
    output: Path | str,
    style: Style | None,
    *,
    lgt: LGTInference | None = None,
    codec: LatentCodec | None = None,
    source_style: int | str | None = None,
    num_steps: int | None = None,
    seed: int | None = 0,
    smooth: float = SMOOTH,
    crf: int | None = None,
    mask: Image.Image | None = None,
    detail_mask: Image.Image | None = None,
    regions: Sequence[tuple[Image.Image, Style]] = (),
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[VideoProgress], None] | None = None,
    **controls: Any,
) -> VideoResult:
    """Paint a video or a picture of several frames; times, size, sound and loops are kept.

    Finished parts are kept in `OUTPUT.lgt-part`; the same call goes on from there after it was
    stopped or killed, and gives the same frames. The folder goes when the output is complete.

    Args:
        source: Any video that FFmpeg reads, an animated GIF, WebP, PNG or AVIF, or a TIFF of
            several pages.
        output: `.mp4`, `.m4v`, `.mov`, `.mkv` (H.264), `.webm` (VP9), `.gif`, `.webp` or `.apng`;
            also `.png` for a PNG; `.tif` for a TIFF, whose pages are painted without `smooth`.
            Sides that H.264 can not hold, odd ones, are made even by repeating the edge.
        style: Style to give: name, id, or a mapping from styles to weights; None: the source, for
            `regions` to lie on.
        lgt: The model; None: the one inside the package.
        codec: Of `lgt.load_codec`; None: the model's own.
        source_style: Style that the video has, if known.
        num_steps: Solver steps; None: the model's.
        seed: Of the noise, which is the same for each frame; None draws anew for each frame.
        smooth: Share of the last frame that is kept where the source holds still, 0 (off) to 0.99.
        crf: Quality of the encoder, smaller is better; None: 18 for H.264 and 30 for VP9.
        mask: White is painted, black stays the source; stretched to the frames.
        detail_mask: Where `detail` applies.
        regions: Masks and their styles, lowest first, above `style`.
        metadata: Tags of the file, such as `comment`, the only one of a GIF.
        progress: Is told how far it is after each batch; what it raises stops the work.
        controls: Fields of `lgt.paint.control.Controls`, such as `strength` or `max_side`.

    Raises:
        InputError: The source can not be read or the output not written, there is no such style, or
            a value is out of range.
    """
    began = time.perf_counter()
    source, output = Path(source), Path(output)
    kind = format_of(output, source)
    _check(source, output, smooth, crf)
    clip = open_clip(source)
    if kind.encoder:
        import_av(output)
    lgt = lgt or LGTInference()
    settings = _settings(lgt, controls)
    smooth = 0.0 if clip.is_paged else smooth  # Pages do not follow each other in time.
    size = _frame_size(clip, kind, settings)
    layers = [] if style is None else [Layer(lgt.style_weights(style))]
    layers += [Layer(lgt.style_weights(one), soft_mask(area, size)) for area, one in regions]
    if not layers:
        raise InputError("a video needs a style, or regions with styles")
    painter = FramePainter(
        lgt,
        codec or lgt.load_codec(),
        settings,
        size=size,
        layers=layers,
        mask=None if mask is None else soft_mask(mask, size),
        detail_mask=detail_mask,
        source_style=source_style,
        num_steps=num_steps,
        seed=seed,
        smoother=TemporalFilter(smooth, 12 * max(1.0, settings.style_scale)),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    quality = kind.crf if crf is None else crf
    work = WorkFolder(output, _job(clip, kind, painter, quality))
    run = _Run(clip, kind, painter, work, quality, progress or (lambda _: None))
    try:
        times = run.paint()
        segments = work.segments()
        if kind.encoder:
            write_video(segments, times, output, kind, clip, metadata)
        else:
            text = (metadata or {}).get("comment", "")
            plays = clip.plays if clip.animation else 0
            write_animation(kind, segments, [d for _, d in times], output, plays=plays, text=text)
        work.remove()
    finally:
        work.close()
    return VideoResult(
        output,
        len(times),
        even_size(size) if kind.needs_even else size,
        0.0 if clip.is_paged else float(times[-1][0] + times[-1][1]),
        run.skipped,
        time.perf_counter() - began,
        (*clip.notes, *_notes(clip, kind, size, output, run, len(times))),
    )


def _check(source: Path, output: Path, smooth: float, crf: int | None) -> None:
    if not 0 <= smooth <= 0.99:
        raise InputError(f"smooth must be 0 (off) to 0.99 (got {smooth})")
    if crf is not None and not 0 <= crf <= 63:
        raise InputError(f"crf must be 0 (best) to 63 (got {crf})")
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name the video to write")
    if source.exists() and output.exists() and source.samefile(output):
        raise InputError(f"{output}: is the source; the video needs another name")


def _settings(lgt: LGTInference, controls: Mapping[str, Any]) -> Controls:
    given = dict(controls)
    if given.get("detail") is None:
        given["detail"] = lgt.config.inference.detail
    try:
        return Controls(**given)
    except TypeError:
        unknown = sorted(set(given) - set(asdict(Controls())))
        raise InputError(
            f"unknown control {', '.join(unknown)}; there are {', '.join(asdict(Controls()))}"
        ) from None


def _frame_size(clip: Clip, kind: Format, controls: Controls) -> tuple[int, int]:
    """Return the size of the frames: the source's, or less; even where they shrink and must be."""
    size = limited_size(clip.size, controls.max_side)
    if kind.needs_even and size != clip.size:
        size = max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)
    return size


def _notes(
    clip: Clip, kind: Format, size: tuple[int, int], output: Path, run: _Run, count: int
) -> Iterator[str]:
    if kind.needs_even and even_size(size) != size:
        yield (
            f"{output}: {even_size(size)[0]} x {even_size(size)[1]} pixels instead of {size[0]} x "
            f"{size[1]}, as H.264 needs even sides; the edge is repeated (.webm keeps odd sizes)"
        )
    if clip.audio and not kind.encoder:
        yield f"{output}: {_NAMES[kind.muxer]} has no sound; the source's is left out"
    elif kind.audio is not None and (others := sorted(set(clip.audio) - kind.audio)):
        yield f"{output}: sound in {', '.join(others)} became {kind.audio_encoder}"
    if run.dropped:
        yield f"{output}: {run.dropped} frames left out, as a GIF shows at most 50 a second"
    expected = clip.num_frames or 0
    if count + run.dropped < 0.9 * expected - 2 and not clip.reaches_end():
        yield (
            f"{clip.path}: ends after {count + run.dropped} frames, though it says that there are "
            f"about {expected}; is the file complete?"
        )
    if run.work.was_other:
        yield f"{run.work.path}: was of other settings; started anew"


def _job(clip: Clip, kind: Format, painter: FramePainter, crf: int) -> dict[str, Any]:
    """Return all that decides the frames, as JSON."""
    status = clip.path.stat()
    return {
        "version": __version__,
        "source": [str(clip.path.resolve()), status.st_size, status.st_mtime_ns],
        "format": asdict(replace(kind, audio=None)),
        "crf": crf,
        "size": painter.size,
        "model": painter.lgt.model_hash,
        "inference": config_to_dict(painter.lgt.config),
        "precision": str(painter.lgt.dtype),
        "codec": asdict(painter.codec.spec),
        "controls": asdict(painter.controls),
        "smooth": painter.smoother.keep,
        "seed": painter.seed,
        "num_steps": painter.num_steps,
        "source_style": painter.source_style,
        "layers": [[list(layer.weights.items()), _digest(layer.mask)] for layer in painter.layers],
        "masks": [_digest(painter.mask), _digest(painter.detail_mask)],
    }


def _digest(mask: Image.Image | None) -> str | None:
    return None if mask is None else hashlib.sha256(mask.tobytes()).hexdigest()


class _Run:
    """The loop over the frames of a clip."""

    def __init__(
        self,
        clip: Clip,
        kind: Format,
        painter: FramePainter,
        work: WorkFolder,
        crf: int,
        progress: Callable[[VideoProgress], None],
    ) -> None:
        self.clip, self.kind, self.painter = clip, kind, painter
        self.work, self.crf, self.progress = work, crf, progress
        self.skipped = self.dropped = 0
        pixels = painter.size[0] * painter.size[1]
        room = BATCH_PIXELS.get(painter.lgt.device.type, 2**21)
        self.batch = max(1, min(8, room // pixels))
        batches = min(SEGMENT_FRAMES, SEGMENT_PIXELS // pixels) // self.batch
        self.segment = max(1, batches) * self.batch

    def paint(self) -> list[tuple[Fraction, Fraction]]:
        """Paint and write all that is not finished; return start and duration of each frame."""
        finished = len(self.work.segments())
        if finished:
            self.skipped = self.work.load_state(finished - 1, self.painter.smoother)
        self._tell(self.skipped)
        frames: list[tuple[Fraction, Fraction]] = []
        waiting: list[Pixels] = []
        painted: list[Pixels] = []
        for frame in self._frames():
            frames.append((frame.time, frame.duration))
            if len(frames) <= self.skipped:
                continue
            waiting.append(frame.pixels(self.painter.size))
            if len(waiting) < self.batch:
                continue
            painted += self.painter.paint(waiting)
            waiting = []
            self._tell(len(frames))
            if len(painted) >= self.segment:
                finished = self._close(painted, finished, len(frames))
                painted = []
        if not frames:
            raise InputError(f"{self.clip.path}: holds no frames; is the file complete?")
        if waiting:
            painted += self.painter.paint(waiting)
        if painted:
            self._close(painted, finished, len(frames))
        self._tell(len(frames), len(frames))
        return self._times(frames)

    def _frames(self) -> Iterator[Frame]:
        """Yield the frames of the clip, without those that a GIF can not show."""
        last: Fraction | None = None
        is_thinned = self.kind.muxer == "gif" and self.clip.animation is None
        for frame in self.clip.frames():
            if is_thinned and last is not None and frame.time - last < _GIF_STEP * 99 / 100:
                self.dropped += 1
                continue
            last = frame.time
            yield frame

    def _close(self, painted: list[Pixels], index: int, num_frames: int) -> int:
        """Write a segment; return the number of finished ones."""
        self.work.save_state(index, self.painter.smoother, num_frames)
        write_segment(
            painted,
            self.work.segment(index),
            self.kind,
            rate=self.clip.rate,
            crf=self.crf,
            pixel_aspect=self.clip.pixel_aspect,
        )
        self.work.forget(index - 1)
        return index + 1

    def _tell(self, done: int, total: int | None = None) -> None:
        total = total or max(done, self.clip.num_frames or 0)
        self.progress(VideoProgress(done, total, self.skipped))

    def _times(self, frames: list[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
        """Return start and duration of each frame; those of videos last until the next one."""
        if self.clip.animation and not self.kind.encoder:
            return frames
        starts = [start for start, _ in frames]
        end = starts[-1] + (frames[-1][1] or 1 / self.clip.rate)
        return [(a, b - a) for a, b in zip(starts, [*starts[1:], end], strict=True)]
