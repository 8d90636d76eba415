"""Which files are videos, and what each kind of output can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgt.damage import in_short
from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.files import is_file, is_folder
from lgt.image.frames import opened_frames
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


ANIMATIONS = {
    ".webp": Format("webp", "", needs_even=False),
    ".apng": Format("apng", "", needs_even=False),
    ".png": Format("apng", "", needs_even=False),
    ".tif": Format("tiff", "", needs_even=False),
    ".tiff": Format("tiff", "", needs_even=False),
}
"""What else can be written of several frames, by suffix; `format_of` says of which sources."""

FRAMED_SUFFIXES = frozenset({".gif", ".avif", *ANIMATIONS})
"""File name endings of pictures that may hold several frames, in lower case."""


def is_framed(path: Path) -> bool:
    """Tell by its suffix a picture that may hold several frames."""
    return path.suffix.lower() in FRAMED_SUFFIXES


def is_video_job(source: Path, output: Path, *, into_folder: bool = False) -> bool:
    """Tell whether a file is to be painted as a video.

    A picture of several frames is one if the output can hold them, or is a folder; and else a
    picture, its first frame. A GIF always is one if the output is.

    Args:
        source: The file.
        output: What is asked for.
        into_folder: Whether the output is a folder, also where it is still to be made.
    """
    kind, target = source.suffix.lower(), output.suffix.lower()
    if kind not in FRAMED_SUFFIXES:
        return kind in VIDEO_SUFFIXES
    if kind == ".gif" and target in FORMATS:
        return True
    goes_in = into_folder or is_folder(output)
    return (goes_in or target in _targets(kind)) and is_video(source)


def _targets(kind: str) -> frozenset[str]:
    """Return the suffixes that a source of a suffix can be written as, with all its frames.

    A PNG or TIFF is taken for one picture unless the source is of the same kind.
    """
    if kind in (".tif", ".tiff"):
        return frozenset({".tif", ".tiff"})
    moving = frozenset(FORMATS) | {".webp", ".apng"}
    return moving | {".png"} if kind in (".png", ".apng") else moving


def result_suffix(source: Path) -> str:
    """Return the suffix of the result of a video that goes to a folder: its own if it can be."""
    suffix = source.suffix.lower()
    if suffix in _targets(suffix):
        return suffix
    return ".webp" if is_framed(source) else ".mp4"


def is_video(path: Path) -> bool:
    """Tell videos and pictures of several frames from other files; a pipe is never looked into."""
    if not is_framed(path):
        return path.suffix.lower() in VIDEO_SUFFIXES
    return num_frames(path) > 1


def num_frames(path: Path) -> int:
    """Return the number of frames or pages of a picture; 1 where it can not be read."""
    if not is_framed(path) or not is_file(path):
        return 1
    try:
        with opened_frames(path) as frames:
            return len(frames.shown())
    except Exception:  # Decoders raise almost anything; who reads the picture says what is wrong.
        return 1


def left_out(source: Path, output: Path) -> str | None:
    """Return what to say where one picture is made of one with several frames; else None."""
    count = num_frames(source)
    if count < 2:
        return None
    kinds = ", ".join(sorted(_targets(source.suffix.lower())))
    parts = "pages" if source.suffix.lower() in (".tif", ".tiff") else "frames"
    return (
        f"{source}: only the first of its {count} {parts} is painted, as {output} is one "
        f"picture; for all of them write {kinds}"
    )


def format_of(path: Path, source: Path | None = None) -> Format:
    """Return what the suffix of an output names.

    Args:
        path: The output.
        source: What it is made of; None: a video.

    Raises:
        InputError: No video, or none of such a source, is written under that suffix.
    """
    suffix = path.suffix.lower()
    targets = _targets("" if source is None else source.suffix.lower())
    if suffix not in targets:
        is_picture = source is not None and is_framed(source)
        what = "all frames of this picture" if is_picture else "a video"
        raise InputError(
            f"{path}: {what} can not be written as '{path.suffix}'; use one of "
            f"{', '.join(sorted(targets))}"
        )
    return (FORMATS | ANIMATIONS)[suffix]


def import_av(path: Path) -> None:
    """Check that PyAV is there.

    Raises:
        InputError: It is not.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        raise InputError(
            f"{path}: videos need PyAV; install it with: {pip_install('video')} (GIF, WebP and "
            "PNG to each other work without)"
        ) from None


def read_comment(path: Path) -> str | None:
    """Return the text that LGT wrote into a video, or None.

    Raises:
        InputError: It is no video, or PyAV is missing.
    """
    import_av(path)
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
    except Exception as error:  # Not those of FFmpeg alone: tags may be no text.
        detail = getattr(error, "strerror", None) or in_short(error)
        raise InputError(f"{path}: not a video that can be read ({detail})") from error
    return own_text([tags.get("comment")])
