"""How many pixels of a picture an inch of paper takes."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction

from PIL import ExifTags, Image

Resolution = tuple[float, float]
"""Pixels to the inch, horizontal and vertical."""

_TAGS = ExifTags.Base
_UNITS = {2: 1.0, 3: 2.54}
"""Inches or centimetres, by the number of the unit in EXIF."""


def resolution_of(image: Image.Image) -> Resolution | None:
    """Return the resolution that an image file tells, in its own way or in EXIF; else None."""
    found = _checked(image.info.get("dpi"))
    if found is not None or "exif" not in image.info:
        return found
    with suppress(Exception):  # EXIF can be broken in any way.
        exif = image.getexif()
        factor = _UNITS[exif.get(_TAGS.ResolutionUnit, 2)]
        return _checked(
            tuple(factor * float(exif[tag]) for tag in (_TAGS.XResolution, _TAGS.YResolution))
        )
    return None


def put_into_exif(exif: Image.Exif, dpi: Resolution) -> None:
    """Write a resolution into EXIF, for formats that have no other place."""
    exif[_TAGS.XResolution], exif[_TAGS.YResolution] = (
        Fraction(value).limit_denominator(1000) for value in dpi
    )
    exif[_TAGS.ResolutionUnit] = 2


def _checked(value: object) -> Resolution | None:
    with suppress(TypeError, ValueError):
        x, y = (float(part) for part in value)  # type: ignore[attr-defined]
        if all(math.isfinite(part) and 1 < part < 1e5 for part in (x, y)):
            return x, y
    return None
