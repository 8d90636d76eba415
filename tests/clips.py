"""Tiny videos for tests, and what is in a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Frames = list[np.ndarray]


def scene(num_frames: int, width: int, height: int, *, noise: float = 3.0, seed: int = 0) -> Frames:
    """Return a static colourful picture with a bright square that moves right, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = np.stack([80 + 60 * np.sin(x / 7), 100 + 50 * np.cos(y / 9), 90 + (x + y) % 64], -1)
    frames = []
    for index in range(num_frames):
        frame = base.copy()
        left = 2 * index
        frame[height // 4 : height // 2, left : left + width // 4] = (240, 220, 40)
        frame += rng.normal(0, noise, frame.shape)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def write_clip(
    path: Path,
    frames: Frames,
    *,
    rate: int = 25,
    times: list[Fraction] | None = None,
    audio: str = "",
    codec: str = "libx264",
    turn: int = 0,
    crf: int = 8,
) -> Path:
    """Write a video; `times` in seconds make its rate vary, `audio` names the codec of a tone."""
    import av

    height, width = frames[0].shape[:2] if frames else (32, 32)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        sound: Any = container.add_stream(audio, rate=48_000) if audio else None
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            time = Fraction(index, rate) if times is None else times[index]
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        if frames:
            container.mux(stream.encode(None))
        if sound is not None:
            seconds = max(1, len(frames)) / rate
            tone = 0.2 * np.sin(np.arange(int(48_000 * seconds)) * 2 * np.pi * 440 / 48_000)
            samples = np.stack([tone, tone]).astype(np.float32)
            block = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            block.rate, block.pts = 48_000, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def read_clip(path: Path) -> tuple[Frames, list[float], list[str]]:
    """Return the frames, their times and the audio codecs of a video."""
    import av

    from lgt.video.read import open_clip

    clip = open_clip(path)
    found = list(clip.frames())
    with av.open(str(path)) as container:
        audio = [s.codec_context.name for s in container.streams.audio]
    return [f.pixels(None) for f in found], [float(f.time) for f in found], audio


def audio_bytes(path: Path) -> list[bytes]:
    """Return the packets of the first audio stream."""
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
