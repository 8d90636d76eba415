"""Which files are videos, and what each kind of output can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lgt.errors import InputError
from lgt.image.metadata import own_text


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

    A GIF is one if the output is, or if it is animated and the output a folder; and else a picture,
    its first frame.
    """
    kind, target = source.suffix.lower(), output.suffix.lower()
    if kind != ".gif" or target in FORMATS:
        return kind in VIDEO_SUFFIXES
    return output.is_dir() and is_video(source)


def result_suffix(source: Path) -> str:
    """Return the suffix of the result of a video that goes to a folder: its own, else `.mp4`."""
    suffix = source.suffix.lower()
    return suffix if suffix in FORMATS else ".mp4"


def is_video(path: Path) -> bool:
    """Tell videos and animated GIFs from other files, by suffix; of a GIF, by its frames."""
    suffix = path.suffix.lower()
    if suffix != ".gif":
        return suffix in VIDEO_SUFFIXES
    try:
        with Image.open(path, formats=["GIF"]) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # Decoders raise almost anything; who reads the picture says what is wrong.
        return False


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


def read_comment(path: Path) -> str | None:
    """Return the text that LGT wrote into a video, or None.

    Raises:
        InputError: It is no video, or PyAV is missing.
    """
    import_av(path)
    import av

    try:
        with av.open(str(path)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video that can be read ({error.strerror})") from error
    return own_text([tags.get("comment")])
