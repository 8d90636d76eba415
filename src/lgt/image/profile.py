"""Colour profiles: pictures of any profile to sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

TOLERANCE = 2
"""Most that a profile may move a value of 255 and count as sRGB: the profiles of sRGB differ by
rounding, and a picture that is sRGB already must not change."""

_CREATED = bytes.fromhex("07d000010001000000000000")
"""Date inside the profile that is written: 2000-01-01, so that equal pictures give equal files."""


def to_srgb(image: Image.Image, profile: bytes | None, *, is_grey: bool = False) -> Image.Image:
    """Return a picture's colours in sRGB.

    The profile's default table for pictures (perceptual) is used, as Pillow does. A profile that is
    broken, or of another kind of colours than the picture's, is passed over.

    Args:
        image: RGB or RGBA; its alpha is kept. CMYK becomes RGB, with a profile or without.
        profile: Bytes of the ICC profile; None: the colours are sRGB already.
        is_grey: Whether the picture was greyscale before; only then a profile of grey counts.
    """
    if image.mode == "CMYK":
        change = _transform(profile, "CMYK", "RGB") if profile else None
        return image.convert("RGB") if change is None else change.apply(image)
    if profile is None:
        return image
    if is_grey and (table := _grey_table(profile)) is not None:
        return image.point([*table * 3, *range(256)][: 256 * len(image.getbands())])
    if _is_srgb(profile):
        return image
    change = _transform(profile, image.mode, image.mode)
    return image if change is None else change.apply(image)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Return a picture of mode `LAB` as RGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return image if converted is None else converted


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB, always the same bytes."""
    from PIL import ImageCms

    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _CREATED + data[36:]


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str, output: str) -> ImageCmsTransform | None:
    """Return the way from a profile to sRGB; None where there is none for this mode."""
    from PIL import ImageCms

    space = {"L": "GRAY", "CMYK": "CMYK"}.get(mode, "RGB ")
    try:
        own = _opened(profile)
        if own.profile.xcolor_space != space:
            return None
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        # A table of grey is read once: exact in the dark, where lcms would interpolate.
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(own, srgb, mode, output, flags=flags)
    except Exception:  # A profile can be broken in any way, and is not the picture.
        return None


def _opened(profile: bytes) -> ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(BytesIO(profile))


@lru_cache(maxsize=8)
def _grey_table(profile: bytes) -> tuple[int, ...] | None:
    """Return the sRGB value of each grey of a profile of grey; None: it is of something else."""
    change = _transform(profile, "L", "RGB")
    if change is None:
        return None
    ramp = Image.new("L", (256, 1))
    ramp.putdata(range(256))
    table = tuple(change.apply(ramp).getchannel("G").tobytes())
    is_same = all(abs(value - i) <= TOLERANCE for i, value in enumerate(table))
    return tuple(range(256)) if is_same else table


@lru_cache(maxsize=8)
def _is_srgb(profile: bytes) -> bool:
    """Tell whether a profile leaves a lattice of 9 x 9 x 9 colours where it is."""
    change = _transform(profile, "RGB", "RGB")
    if change is None:
        return True
    steps = [round(i * 255 / 8) for i in range(9)]
    colors = bytes(value for r in steps for g in steps for b in steps for value in (r, g, b))
    moved = change.apply(Image.frombytes("RGB", (81, 9), colors)).tobytes()
    return all(abs(a - b) <= TOLERANCE for a, b in zip(colors, moved, strict=True))
