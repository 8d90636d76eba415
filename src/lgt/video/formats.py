"""Which files are videos, and what each kind of output can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgt.errors import InputError


@dataclass(frozen=True)
class Format:
    """A kind of output file."""

    muxer: str
    """FFmpeg's name of the container."""
    encoder: str = "libx264"
    crf: int = 18
    """Quality where none is asked for; smaller is better."""
    audio: frozenset[str] | None = frozenset()
    """Audio codecs that are copied as they are; None: any."""
    audio_encoder: str = "aac"
    """For audio that can not be copied."""
    needs_even: bool = True
    """Whether width and height must be even."""


_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
FORMATS = {
    ".mp4": Format("mp4", audio=_MP4_AUDIO),
    ".m4v": Format("mp4", audio=_MP4_AUDIO),
    ".mov": Format("mov", audio=frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le"})),
    ".mkv": Format("matroska", audio=None),
    ".webm": Format(
        "webm", "libvpx-vp9", 30, frozenset({"opus", "vorbis"}), "libopus", needs_even=False
    ),
    ".gif": Format("gif", "", needs_even=False),
}
"""What can be written, by suffix."""

VIDEO_SUFFIXES = frozenset(FORMATS) | {".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts"}
VIDEO_SUFFIXES |= {".wmv", ".flv", ".3gp", ".ogv"}
"""File name endings taken for videos, in lower case; other files are asked for pictures."""


def is_video_job(source: Path, output: Path) -> bool:
    """Tell whether a file is to be painted as a video.

    A GIF is one if the output is, and else a picture, its first frame.
    """
    kind, target = source.suffix.lower(), output.suffix.lower()
    return kind in VIDEO_SUFFIXES and (kind != ".gif" or target in FORMATS)


def format_of(path: Path) -> Format:
    """Return what the suffix of an output names.

    Raises:
        InputError: No video is written under that suffix.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: a video can not be written as '{path.suffix}'; use one of "
            f"{', '.join(FORMATS)}"
        )
    return kind


def import_av(path: Path) -> None:
    """Check that PyAV is there.

    Raises:
        InputError: It is not.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        raise InputError(
            f"{path}: videos need PyAV; install it with: pip install 'lgt[video]' (GIF to GIF "
            "works without)"
        ) from None
