"""How a picture was made, as JSON inside its file: enough to make it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from lgt import __version__
from lgt.damage import read_json
from lgt.errors import InputError
from lgt.image import check_file, read_text
from lgt.image.moving import FRAMED_SUFFIXES, VIDEO_SUFFIXES, read_comment
from lgt.model.styles import style_label
from lgt.names import check_file_name, check_style_name, visible

MAX_REGIONS = 1000
"""Regions of a picture that a record may name: each is painted by itself."""
HASH_DIGITS = 16
"""Hex digits of a SHA-256 that are kept."""


def short_sha256(data: bytes) -> str:
    """Return the first hex digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()[:HASH_DIGITS]


def file_sha256(path: Path) -> str:
    """Return :func:`short_sha256` of a file of any size, which is not read at once."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:HASH_DIGITS]


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False
    )


FileName = Annotated[str, AfterValidator(check_file_name)]
StyleName = Annotated[str, AfterValidator(check_style_name)]


class FileRecord(_Record):
    """A file that was used, without its folder."""

    name: FileName
    sha256: str
    """First hex digits of the SHA-256 of its bytes; of a model or a style file, of its numbers."""


class CodecRecord(_Record):
    """The codec that was used."""

    name: str
    fingerprint: str = ""
    """Of its weights; empty where it has none."""
    source: str | None = None
    """What `load_codec` takes; None for a folder."""


class RegionRecord(_Record):
    """A region painted in a style of its own."""

    mask: FileRecord
    style: dict[StyleName, float]


class VideoRecord(_Record):
    """What decides a video besides what decides a picture."""

    smooth: float
    crf: int | None = None
    """As it was asked for; None: the format's own."""


class Provenance(_Record):
    """How one picture or video was made."""

    lgt_version: str = Field(__version__, alias="lgt")
    model: FileRecord
    codec: CodecRecord
    device: str
    """Kind of torch's device, such as `cpu` or `cuda`, or the backend `openvino` or `onnx` where
    that computed; another one may round differently."""
    input: FileRecord
    style: dict[StyleName, float] | None
    """Weight of each style; None: the photo (below the regions)."""
    seed: int
    settings: dict[str, Any] = {}
    """`detail`, and what differs from the defaults; names with a dot are configuration keys."""
    added_styles: dict[StyleName, FileRecord] = {}
    """Files of the named styles that are not the model's own, by name."""
    masks: dict[str, FileRecord] = {}
    """`mask` and `detail_mask`, where given."""
    regions: Annotated[tuple[RegionRecord, ...], Field(max_length=MAX_REGIONS)] = ()
    sheet: tuple[str, ...] = ()
    """Labels of the pictures, if this is a sheet of several."""
    video: VideoRecord | None = None
    """Of a video or an animated GIF."""

    @field_validator("settings")
    @classmethod
    def _names_a_style(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("source_style") is not None:
            check_style_name(values["source_style"])
        return values

    def to_json(self) -> str:
        """Return one line of ASCII that starts with the version."""
        values = self.model_dump(mode="json", by_alias=True)
        required = {name for name, field in type(self).model_fields.items() if field.is_required()}
        kept = {k: v for k, v in values.items() if k in {"lgt", *required} or v}
        return json.dumps({"lgt": kept.pop("lgt"), **kept}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, name: str = "provenance") -> Provenance:
        """Read what :meth:`to_json` gave; unknown keys are ignored.

        Args:
            text: JSON.
            name: What error messages call it.

        Raises:
            InputError: It is damaged.
        """
        try:
            # Not pydantic's own reader of JSON, which refuses names that are not UTF-8.
            return cls.model_validate(read_json(text))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "JSON"
            problem = f"{place}: {first['msg']}"
        except Exception as error:  # Whatever is wrong with it.
            problem = f"JSON: {error}"
        raise InputError(
            f"{name}: its provenance is damaged ({problem}); the picture can not be painted again "
            "from it"
        )

    def is_same_work(self, other: Provenance) -> bool:
        """Tell whether both are the same picture, whichever version and device painted it."""
        same = {"lgt_version": "", "device": ""}
        return self.model_copy(update=same) == other.model_copy(update=same)

    def lines(self) -> Iterator[str]:
        """Yield the lines that `lgt inspect` prints."""
        rows: list[tuple[str, object]] = [
            ("lgt", self.lgt_version),
            ("model", f"{self.model.name} ({self.model.sha256})"),
            ("codec", f"{self.codec.name} ({self.codec.fingerprint or 'no weights'})"),
            ("device", self.device),
            ("input", f"{self.input.name} ({self.input.sha256})"),
        ]
        if self.sheet:
            rows.append(("sheet", ", ".join(self.sheet)))
        else:
            rows.append(("style", "the photo" if self.style is None else style_label(self.style)))
        rows += [("style file", f"{f.name} ({f.sha256})") for f in self.added_styles.values()]
        rows.append(("seed", self.seed))
        rows += [
            (name.replace("_", " "), f"{m.name} ({m.sha256})") for name, m in self.masks.items()
        ]
        rows += [
            ("region", f"{r.mask.name} ({r.mask.sha256}): {style_label(r.style)}")
            for r in self.regions
        ]
        rows += [(name, json.dumps(value)) for name, value in self.settings.items()]
        if self.video is not None:
            rows += [(k, v) for k, v in self.video.model_dump().items() if v is not None]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            yield visible(f"{name:<{width}}  {value}".replace("\n", "\\n"))


def read_provenance(source: Path | BinaryIO) -> Provenance | None:
    """Return how a picture or video was made, or None where its file does not say.

    Raises:
        InputError: No such file, neither an image nor a video, or its record is damaged.
    """
    if isinstance(source, Path):
        check_file(source)
    name = str(source) if isinstance(source, Path) else getattr(source, "name", "image data")
    if isinstance(source, Path) and source.suffix.lower() in VIDEO_SUFFIXES - FRAMED_SUFFIXES:
        text = read_comment(source)
    else:
        try:
            text = read_text(source)
        except (OSError, SyntaxError) as error:
            raise InputError(f"{name}: not an image that can be read ({error})") from None
    return None if text is None else Provenance.from_json(text, name)
