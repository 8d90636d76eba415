"""Colour profiles: what is read becomes sRGB, what is written says so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from profiles import cmyk, grey, srgb_coded, wide_in_srgb, wide_rgb

from lgt.image import open_image, preprocess, save_image, to_rgb
from lgt.image.profile import srgb_profile

WIDE = (200, 100, 50)
WANTED = wide_in_srgb(WIDE)


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def converted(image: Image.Image, profile: bytes) -> np.ndarray:
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    result = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
    return np.asarray(result, int)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_wide_profile_is_converted(tmp_path: Path, suffix: str) -> None:
    photo = Image.new("RGB", (8, 8), WIDE)
    photo.save(tmp_path / f"a{suffix}", icc_profile=wide_rgb(), quality=100)
    seen = open_image(tmp_path / f"a{suffix}").getpixel((3, 3))
    assert np.abs(np.array(seen) - WANTED).max() <= 4


def test_equal_to_the_library_and_alpha_is_kept() -> None:
    photo = noise(20, 30, 3)
    wanted = converted(photo, wide_rgb())
    assert np.abs(wanted - np.asarray(photo, int)).max() > 10
    photo.info["icc_profile"] = wide_rgb()
    assert np.array_equal(np.asarray(to_rgb(photo), int), wanted)
    photo.putalpha(noise(20, 30))
    alpha = np.asarray(photo.getchannel("A"))
    seen = np.asarray(to_rgb(photo, keep_alpha=True))
    assert np.array_equal(seen[..., :3], wanted)
    assert np.array_equal(seen[..., 3], alpha)


def test_srgb_in_any_spelling_changes_nothing() -> None:
    photo = noise(20, 30, 3)
    for profile in (srgb_profile(), b"junk", wide_rgb()[:200], cmyk(), grey(1.0), b""):
        photo.info["icc_profile"] = profile
        assert np.array_equal(np.asarray(to_rgb(photo)), np.asarray(photo))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_by_a_profile_of_grey(mode: str) -> None:
    values = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    photo = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values)
    photo = photo.convert(mode)
    photo.info["icc_profile"] = grey(1.0)
    wanted = srgb_coded(values[0] / 255)
    seen = np.asarray(to_rgb(photo))[0].astype(int)
    assert np.abs(seen - wanted[:, None]).max() <= 1.5


@pytest.mark.parametrize("mode", ["L", "P", "LA", "PA"])
def test_other_modes_by_a_profile_of_rgb(mode: str) -> None:
    photo = Image.new("RGB", (4, 4), (90, 90, 90)).convert("L").convert(mode)
    photo.info["icc_profile"] = wide_rgb()
    wanted = converted(Image.new("RGB", (1, 1), (90, 90, 90)), wide_rgb())[0, 0]
    assert np.abs(np.array(to_rgb(photo).getpixel((1, 1))) - wanted).max() <= 1


def test_cmyk_by_its_profile(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    inks.save(tmp_path / "a.tif", icc_profile=cmyk())
    # L = 75 is the grey 186 of sRGB; without the profile it would be cyan.
    assert np.abs(np.array(open_image(tmp_path / "a.tif").getpixel((2, 2))) - 186).max() <= 2
    inks.save(tmp_path / "b.tif", icc_profile=b"junk")
    assert open_image(tmp_path / "b.tif").getpixel((2, 2)) == (0, 255, 255)


def test_a_large_profile_in_png(tmp_path: Path) -> None:
    """Pillow alone refuses the file."""
    photo = Image.new("RGB", (8, 8), WIDE)
    padded = wide_rgb() + bytes(2_000_000)
    padded = len(padded).to_bytes(4, "big") + padded[4:]
    photo.save(tmp_path / "a.png", icc_profile=padded)
    seen = open_image(tmp_path / "a.png").getpixel((3, 3))
    assert np.abs(np.array(seen) - WANTED).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_what_is_written_is_tagged(tmp_path: Path, suffix: str) -> None:
    photo = Image.new("RGB", (8, 8), WIDE)
    save_image(photo, tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as written:
        assert written.info["icc_profile"] == srgb_profile()
    photo.info["icc_profile"] = wide_rgb()
    save_image(photo, tmp_path / f"b{suffix}", quality=100)
    assert (
        np.abs(np.array(open_image(tmp_path / f"b{suffix}").getpixel((3, 3))) - WANTED).max() <= 4
    )


def test_preprocess_takes_pictures_with_profiles() -> None:
    photo = Image.new("RGB", (8, 8), WIDE)
    photo.info["icc_profile"] = wide_rgb()
    seen = preprocess(photo, 8)[0, :, 0, 0] * 255
    assert np.abs(seen.numpy() - WANTED).max() <= 2
