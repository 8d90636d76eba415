"""A video or animated picture painted frame by frame, steady and resumable."""

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
from lgt.errors import InputError
from lgt.files import refuse_same
from lgt.image import limited_size, soft_mask
from lgt.image.moving import Format, format_of, import_av
from lgt.paint.compose import canvas_of
from lgt.paint.controls import Controls, working_size
from lgt.paint.engine import Engine
from lgt.video.clip import Clip, Frame, Levels
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
    """What :func:`paint_clip` made."""

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


def paint_clip(
    engine: Engine,
    layers: Sequence[Layer],
    controls: Controls,
    source: Path,
    output: Path,
    *,
    smooth: float = SMOOTH,
    crf: int | None = None,
    mask: Image.Image | None = None,
    detail_mask: Image.Image | None = None,
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[VideoProgress], None] | None = None,
) -> VideoResult:
    """Paint a video on any engine; see :func:`lgt.video.transfer_video`.

    Args:
        engine: What computes.
        layers: Styles, lowest first, with masks of any size.
        controls: How to paint.
        source: See `transfer_video`, also for all that follows.
        output: The file to write.
        smooth: Share that is kept where the source holds still.
        crf: Quality of the encoder.
        mask: White is painted.
        detail_mask: Where `controls.detail` applies.
        metadata: Tags of the file.
        progress: Is told how far it is.
    """
    began = time.perf_counter()
    kind = format_of(output, source)
    check_files(source, output, smooth, crf)
    clip = open_clip(source)
    if kind.encoder:
        import_av(output)
    if not layers:
        raise InputError("a video needs a style, or regions with styles")
    smooth = 0.0 if clip.is_paged else smooth  # Pages do not follow each other in time.
    size = _frame_size(clip, kind, controls)
    working = working_size(size, canvas_of(engine, controls), controls.style_scale)
    painter = FramePainter(
        engine,
        [replace(one, mask=one.mask and soft_mask(one.mask, size)) for one in layers],
        controls,
        size=size,
        smoother=TemporalFilter(smooth, 12 * max(1.0, size[0] / working[0])),
        mask=mask and soft_mask(mask, size),
        detail_mask=detail_mask,
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


def check_files(source: Path, output: Path, smooth: float, crf: int | None) -> None:
    """Refuse what no video can be made of.

    Raises:
        InputError: Says what is wrong.
    """
    if not 0 <= smooth <= 0.99:
        raise InputError(f"smooth must be 0 (off) to 0.99 (got {smooth})")
    if crf is not None and not 0 <= crf <= 63:
        raise InputError(f"crf must be 0 (best) to 63 (got {crf})")
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name the video to write")
    refuse_same(source, output)


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
    status, engine = clip.path.stat(), painter.engine
    facts = engine.facts
    return {
        "version": __version__,
        "source": [str(clip.path.resolve()), status.st_size, status.st_mtime_ns],
        "format": asdict(replace(kind, audio=None)),
        "crf": crf,
        "size": painter.size,
        "model": facts.model.sha256,
        "codec": facts.codec.fingerprint,
        "engine": [facts.device, facts.precision, engine.detail, engine.color, engine.canvas],
        "controls": asdict(painter.controls),
        "smooth": painter.smoother.keep,
        "layers": [[asdict(layer.transport), _digest(layer.mask)] for layer in painter.layers],
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
        self.batch = max(1, min(8, painter.engine.batch_pixels // pixels))
        batches = min(SEGMENT_FRAMES, SEGMENT_PIXELS // pixels) // self.batch
        self.segment = max(1, batches) * self.batch

    def paint(self) -> list[tuple[Fraction, Fraction]]:
        """Paint and write all that is not finished; return start and duration of each frame."""
        finished = len(self.work.segments())
        if finished:
            self.skipped = self.work.load_state(finished - 1, self.painter.smoother)
        self._tell(self.skipped)
        frames: list[tuple[Fraction, Fraction]] = []
        waiting: list[Levels] = []
        painted: list[Levels] = []
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

    def _close(self, painted: list[Levels], index: int, num_frames: int) -> int:
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
