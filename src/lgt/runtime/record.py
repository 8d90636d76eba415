"""What a picture's file says of how it was made, written without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lgt.errors import InputError
from lgt.paint.provenance import CodecRecord, FileRecord, Provenance, short_sha256
from lgt.runtime.run import Runtime

CONTROLS = ("strength", "detail", "max_side")
"""Keyword arguments of `Runtime.stylize`."""

_PLAIN = {"strength": 1.0, "detail": None, "max_side": None}


def file_record(path: Path) -> FileRecord:
    """Return the record of a photo."""
    return FileRecord(name=path.name, sha256=short_sha256(path.read_bytes()))


def provenance(
    lgt: Runtime,
    photo: FileRecord,
    style: str | None,
    controls: Mapping[str, Any],
    *,
    seed: int = 0,
    sheet: tuple[str, ...] = (),
) -> Provenance:
    """Return what the file of a picture says; the device is the backend.

    Args:
        lgt: What painted it.
        photo: Record of the photo.
        style: Name; None for a sheet.
        controls: Some of `CONTROLS`.
        seed: Recorded only: these models draw no noise.
        sheet: Labels of the pictures, if it is a sheet.
    """
    changed = {k: v for k, v in controls.items() if v != _PLAIN[k]}
    settings: dict[str, Any] = {"detail": lgt.detail, **changed}
    if lgt.precision != "fp32":
        settings["precision"] = lgt.precision
    model, codec = lgt.fingerprints
    values: dict[str, Any] = {
        "model": FileRecord(name=lgt.name, sha256=model),
        "codec": CodecRecord(name="embedded", fingerprint=codec, source="embedded"),
        "device": lgt.backend,
        "input": photo,
        "style": None if style is None else {style: 1.0},
        "seed": seed,
        "settings": settings,
        "sheet": sheet,
    }
    return Provenance(**values)


def arguments(made: Provenance) -> tuple[str, dict[str, Any], str]:
    """Return the style, the keyword arguments of `Runtime.stylize` and the precision of a picture.

    Raises:
        InputError: It is a sheet, or was made in a way that only torch can do.
    """
    if made.sheet:
        raise InputError("this is a sheet of several pictures; replay the single pictures")
    settings = dict(made.settings)
    precision = str(settings.pop("precision", "fp32"))
    controls = {key: settings.pop(key) for key in CONTROLS if key in settings}
    found = [*settings, *made.masks, *(["regions"] if made.regions else []), *made.added_styles]
    if found or made.style is None or len(made.style) != 1:
        what = ", ".join(found) or "this style"
        raise InputError(f"{what}: painted on torch only; add --device cpu")
    return next(iter(made.style)), controls, precision
