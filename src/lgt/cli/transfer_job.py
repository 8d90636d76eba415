"""The work of `lgt transfer`: which pictures to paint, from what, and where they go."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.cli.say import echo
from lgt.cli.transfer_plan import ALL
from lgt.errors import InputError
from lgt.files import fitted_name, is_folder
from lgt.stores import address_of, refuse_address, shown

if TYPE_CHECKING:
    from PIL import Image

    from lgt.cluster import Spread
    from lgt.paint.picture import Picture


VIDEO_OPTIONS = "--smooth and --crf are for videos"

FOLDER_FORMATS = ("png", "jpg", "webp")
"""What `--format` takes."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for on the command line; see the options of `lgt transfer`."""

    inputs: tuple[Path, ...]
    output_path: Path
    style: str | int | None
    model: str
    source_style: str | int | None
    sampler: dict[str, Any]
    """Arguments of `lgt.paint.sampler.choose_sampler`."""
    backend: str | None
    device: str
    precision: str
    codec: str | None
    seed: int
    set_: list[str] | None
    controls: dict[str, Any] = field(default_factory=dict)
    """Fields of `lgt.paint.controls.Controls`."""
    blend: str | None = None
    mask: Path | None = None
    detail_mask: Path | None = None
    invert_mask: bool = False
    mask_feather: float = 0.0
    regions: tuple[tuple[Path, str], ...] = ()
    variants: int = 1
    interpolate: tuple[str, ...] = ()
    interpolate_steps: int = 5
    has_metadata: bool = True
    """Whether files say how they were made."""
    as_json: bool = False
    recursive: bool = False
    overwrite: bool = False
    smooth: float | None = None
    """Of videos."""
    crf: int | None = None
    """Of videos."""
    format: str | None = None
    """Suffix of pictures that go to a folder, without its dot; None: png."""
    makes_folder: bool = False
    """Whether `output_path` was written as a folder, with a slash."""
    spread: Spread | None = None
    """Where Ray paints a folder; None: this process does."""
    pipes: Mapping[str, str] = field(default_factory=dict)
    """How those inputs were named that are copies of pipes."""

    def __post_init__(self) -> None:
        ways = {"--style": self.style, "--blend": self.blend, "--interpolate": self.interpolate}
        given = [name for name, value in ways.items() if value not in (None, ())]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} exclude each other; give one of them")
        if not given and not self.regions:
            raise InputError(
                "Missing option '--style': name a style (`lgt styles` lists them), or use --blend, "
                "--region or --interpolate"
            )
        if self.interpolate and (self.regions or self.variants > 1):
            raise InputError("--interpolate goes with neither --region nor --variants")
        if self.regions and self.is_list:
            raise InputError("--region takes one --style for the rest of the picture, not several")
        if not self.is_many:
            refuse_address(self.output_path, "only folders of photos are painted into a store")
        if self.invert_mask and self.mask is None:
            raise InputError("--invert_mask needs --mask")
        if self.mask_feather and not (self.mask or self.detail_mask or self.regions):
            raise InputError("--mask_feather needs --mask, --detail_mask or --region")
        if self.detail_mask is not None and self.controls.get("detail") == 0:
            raise InputError("--detail_mask needs --detail, such as --detail 1")
        if self.format is not None and self.format not in FOLDER_FORMATS:
            raise InputError(
                f"--format must be one of {', '.join(FOLDER_FORMATS)} (got '{self.format}')"
            )

    @property
    def is_list(self) -> bool:
        """Whether several styles are named."""
        return isinstance(self.style, str) and (self.style == ALL or "," in self.style)

    @property
    def is_many(self) -> bool:
        """Whether several files, a folder or a pattern are to be painted, not a single file."""
        from lgt.batch import is_pattern

        first = self.inputs[0]
        is_several = is_folder(first) or is_pattern(first) or address_of(first) is not None
        return len(self.inputs) > 1 or is_several

    @property
    def masks(self) -> list[Path]:
        """Files that say where is painted."""
        named = (self.mask, self.detail_mask, *(path for path, _ in self.regions))
        return [path for path in named if path is not None]

    @property
    def suffix(self) -> str:
        """Of pictures that go to a folder."""
        return f".{self.format or 'png'}"

    @property
    def is_in_folder(self) -> bool:
        """Whether the pictures of one photo go to a folder, under names of their own."""
        return self.is_list or self.variants > 1 or self.output_path.is_dir()

    def result_path(self, stem: str, label: str) -> Path:
        """Return where one picture of a photo goes."""
        if not self.is_in_folder:
            return self.output_path
        return self.output_path / fitted_name(stem, f"_{label}{self.suffix}")

    def shown(self, path: Path | str) -> str:
        """Return an input as it was named."""
        return self.pipes.get(str(path)) or shown(Path(path))


def parse_regions(texts: list[str] | None) -> tuple[tuple[Path, str], ...]:
    """Read `MASK:STYLE`.

    Raises:
        InputError: A text is not of that form.
    """
    regions = []
    for text in texts or ():
        path, _, style = text.rpartition(":")
        if not path or not style:
            raise InputError(f"region '{text}': not MASK:STYLE; write mask.png:vangogh")
        if ":" in path and re.fullmatch(r"[0-9]*\.[0-9]+", style):
            raise InputError(
                f"region '{text}': not MASK:STYLE; there is no number for how much ({style}): "
                "where the mask is grey, the region is painted by half"
            )
        regions.append((Path(path), style))
    return tuple(regions)


def parse_auto(name: str, text: str) -> int | None:
    """Read `auto` (None) or a number of pixels.

    Raises:
        InputError: It is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal():
        raise InputError(f"--{name} must be auto, 0 or a number of pixels (got '{text}')")
    return int(text)


def is_moving(job: Job) -> bool:
    """Tell whether the only file of a job is painted as a video."""
    from lgt.image.moving import FORMATS, is_framed, is_video_job

    source, output = job.inputs[0], job.output_path
    if job.interpolate and is_framed(source) and output.suffix.lower() not in FORMATS:
        return False
    return is_video_job(source, output, into_folder=job.is_list or job.variants > 1)


def report(job: Job, values: dict[str, Any], text: str) -> None:
    """Print one line: JSON or text; on standard error where a picture goes to standard output."""
    is_stream = str(job.output_path) == "-"
    if "input" in values:
        values = values | {"input": job.shown(values["input"])}
    echo(json.dumps(values) if job.as_json else text, err=is_stream)


def line_of(
    source: Path, output: Path, label: str, size: tuple[int, int], seconds: float, backend: str
) -> dict[str, Any]:
    """Return what `--json` prints of one picture."""
    return {
        "input": shown(source),
        "output": shown(output),
        "style": label,
        "size": list(size),
        "seconds": round(seconds, 3),
        "backend": backend,
    }


def write(job: Job, picture: Image.Image, path: Path, text: str, exif: Any) -> None:
    """Write a picture to a file, or as PNG to standard output, with what its file is to say."""
    from lgt.image import save_image, write_image
    from lgt.paint.picture import STREAM

    metadata = {"text": text, "exif": exif} if job.has_metadata else {}
    if path != STREAM:
        save_image(picture, path, **metadata)
        return
    stream = io.BytesIO()
    write_image(picture, stream, "PNG", **metadata)
    sys.stdout.buffer.write(stream.getvalue())
    sys.stdout.buffer.flush()


def read_masks(job: Job) -> dict[Path, Picture]:
    """Read every mask of a job once."""
    from lgt.paint.picture import read_picture

    paths = (job.mask, job.detail_mask, *(path for path, _ in job.regions))
    return {path: read_picture(path) for path in paths if path is not None}


def check_folder(path: Path, what: str = "several styles") -> None:
    """Refuse what can not be the folder of several pictures."""
    from lgt.image import IMAGE_SUFFIXES
    from lgt.video import VIDEO_SUFFIXES

    if path.is_dir():
        return
    if str(path) == "-":
        raise InputError(f"OUT -: {what} give several pictures; OUT must be a folder")
    if path.exists() or path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        advice = f", such as {path.with_suffix('')}/" if path.suffix else "; this is a file"
        raise InputError(f"{path}: {what} give several pictures; OUT must be a folder{advice}")
