"""Reading, converting and writing pictures."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import lgt.image.read as read_module
from lgt.errors import InputError
from lgt.image import (
    contact_sheet,
    is_plain,
    open_image,
    preprocess,
    resize_and_crop,
    save_image,
    to_image,
    to_rgb,
    to_tensor,
)
from lgt.image.write import WRITTEN_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red, green over blue, white."""
    image = Image.new("RGB", size)
    w, h = size[0] // 2, size[1] // 2
    for color, place in zip(
        (RED, GREEN, BLUE, WHITE), ((0, 0), (w, 0), (0, h), (w, h)), strict=True
    ):
        image.paste(color, (*place, place[0] + w, place[1] + h))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    w, h = image.size
    places = ((2, 2), (w - 3, 2), (2, h - 3), (w - 3, h - 3))
    return [image.getpixel(place) for place in places]


def close(a: tuple[int, ...], b: tuple[int, ...], tolerance: int = 12) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("suffix", sorted(WRITTEN_SUFFIXES))
def test_every_format_is_written_and_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    save_image(quadrants(), path)
    image = open_image(path)
    assert image.mode == "RGB"
    assert image.size == (40, 20)
    for seen, wanted in zip(corners(image), (RED, GREEN, BLUE, WHITE), strict=True):
        assert close(seen, wanted)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]  # no temporary file is left


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = quadrants()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    image = open_image(tmp_path / "turned.png")
    assert image.size == upright.size
    assert np.array_equal(np.asarray(image), np.asarray(upright))


def test_alpha_is_laid_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 128))
    rgb = to_rgb(image)
    assert rgb.getpixel((0, 0)) == WHITE
    assert close(rgb.getpixel((1, 0)), (127, 127, 255), 1)


def test_grey_alpha_and_palette_transparency() -> None:
    assert to_rgb(Image.new("LA", (1, 1), (0, 0))).getpixel((0, 0)) == WHITE
    palette = quadrants().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    palette.info["transparency"] = palette.getpixel((2, 2))
    seen = corners(to_rgb(palette))
    assert seen[0] == WHITE
    assert close(seen[1], GREEN)


def test_rgb_with_a_transparent_color(tmp_path: Path) -> None:
    quadrants().save(tmp_path / "key.png", transparency=RED)
    assert corners(open_image(tmp_path / "key.png"))[:2] == [WHITE, GREEN]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
def test_every_mode_gives_grey(mode: str) -> None:
    grey = Image.new("L", (9, 7), 128)
    if mode == "I;16":
        image = Image.fromarray(np.full((7, 9), 128 * 257, dtype=np.uint16))
    elif mode == "LAB":
        image = Image.new("LAB", (9, 7), (137, 128, 128))
    elif mode == "F":
        image = Image.fromarray(np.full((7, 9), 128 / 255, dtype=np.float32))
    elif mode == "1":
        image = Image.new("1", (9, 7), 1)
    else:
        base = grey if mode in ("P", "I", "CMYK") else grey.convert("RGB")
        image = base.convert("RGB").convert(mode) if mode == "CMYK" else base.convert(mode)
    rgb = to_rgb(image)
    wanted = WHITE if mode == "1" else (128, 128, 128)
    assert rgb.mode == "RGB"
    assert rgb.size == (9, 7)
    assert close(rgb.getpixel((4, 3)), wanted, 3)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0, 65535, 32768]], dtype=np.uint16), [0, 255, 128]),
        (np.array([[0, 65535, 32768]], dtype=np.int32), [0, 255, 128]),
        (np.array([[0, 255, 128]], dtype=np.int32), [0, 255, 128]),
        (np.array([[0, 1, 0.5]], dtype=np.float32), [0, 255, 128]),
        (np.array([[0, 255, np.nan]], dtype=np.float32), [0, 255, 0]),
    ],
)
def test_deep_grey_images_are_scaled(tmp_path: Path, values: np.ndarray, wanted: list[int]) -> None:
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    assert np.asarray(open_image(tmp_path / "deep.tiff"))[0, :, 1].tolist() == wanted


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN, BLUE)]
    for suffix in (".gif", ".webp", ".tiff"):
        path = tmp_path / f"film{suffix}"
        options = {"lossless": True} if suffix == ".webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert close(open_image(path).getpixel((4, 4)), RED)


def test_metadata_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a private remark"
    quadrants().save(tmp_path / "a.jpg", exif=exif, comment=b"private")
    save_image(open_image(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert b"private" not in (tmp_path / "b.jpg").read_bytes()


def test_binary_file_and_reduced_jpeg(tmp_path: Path) -> None:
    data = io.BytesIO()
    quadrants((1600, 800)).save(data, "JPEG")
    data.seek(0)
    reduced = open_image(data, min_side=150)
    assert reduced.size == (400, 200)  # a quarter, the smallest step that stays above
    assert close(corners(reduced)[1], GREEN)
    data.seek(0)
    assert open_image(data).size == (1600, 800)


def test_error_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jpg: no such file \(working directory: "):
        open_image(tmp_path / "missing.jpg")


def test_error_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, not an image file"):
        open_image(tmp_path)


def test_error_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png: the file is empty \(0 bytes\)"):
        open_image(tmp_path / "empty.png")


def test_error_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"text\.jpg: not an image that can be read"):
        open_image(tmp_path / "text.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tiff"])
def test_error_truncated(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    save_image(Image.fromarray(noise), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"cut\{suffix}: (the image is damaged|not an image)"):
        open_image(path)


def test_error_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_image(quadrants(), tmp_path / "large.png")
    monkeypatch.setattr(read_module, "MAX_PIXELS", 799)
    with pytest.raises(InputError, match=r"large\.png: 40 x 20 is .* paint it with --max_side"):
        open_image(tmp_path / "large.png")
    monkeypatch.setattr(read_module, "MAX_PIXELS", 800)
    assert open_image(tmp_path / "large.png").size == (40, 20)
    save_image(quadrants(), tmp_path / "large.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"large\.webp: more than .* pixels"):
        open_image(tmp_path / "large.webp")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_error_no_permission(tmp_path: Path) -> None:
    save_image(quadrants(), tmp_path / "locked.png")
    (tmp_path / "locked.png").chmod(0)
    with pytest.raises(InputError, match=r"locked\.png: no permission"):
        open_image(tmp_path / "locked.png")


@pytest.mark.parametrize("size", [(300, 120), (120, 300), (97, 61), (64, 64), (30, 50)])
def test_a_circle_stays_a_circle(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    radius = min(size) * 0.4
    x, y = size[0] / 2, size[1] / 2
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), "black")
    result = np.asarray(resize_and_crop(image, 64))[:, :, 0] < 128
    assert result.shape == (64, 64)
    columns, rows = np.flatnonzero(result.any(0)), np.flatnonzero(result.any(1))
    assert abs(np.ptp(columns) - np.ptp(rows)) <= 3
    assert abs(np.ptp(columns) - 0.8 * 64) <= 4
    assert abs(columns.mean() - 31.5) <= 1.5
    assert abs(rows.mean() - 31.5) <= 1.5


def test_no_resampling_where_the_short_side_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 51, 3), dtype=np.uint8)
    result = np.asarray(resize_and_crop(Image.fromarray(noise), 32))
    assert np.array_equal(result, noise[:, 9:41])


def test_crop_positions_and_zoom() -> None:
    ramp = np.tile(np.arange(128, dtype=np.uint8)[None, :, None], (32, 1, 3))
    image = Image.fromarray(ramp)
    left = np.asarray(resize_and_crop(image, 32, position=(0, 0.5)))
    right = np.asarray(resize_and_crop(image, 32, position=(1, 0.5)))
    assert np.array_equal(left, ramp[:, :32])
    assert np.array_equal(right, ramp[:, 96:])
    zoomed = np.asarray(resize_and_crop(image, 32, position=(0, 0), zoom=2)).astype(int)
    assert zoomed.shape == (32, 32, 3)
    assert np.ptp(zoomed) == pytest.approx(16, abs=1)


def test_downsampling_removes_what_the_size_can_not_show() -> None:
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    small = np.asarray(resize_and_crop(Image.fromarray(checks).convert("RGB"), 32)).astype(float)
    assert np.abs(small - 127.5).max() <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"size: must be at least 1 pixel \(got 0\)"),
        ({"size": 8, "position": (1.5, 0)}, r"position: both values must lie in \[0, 1\]"),
        ({"size": 8, "zoom": 0.5}, r"zoom: must be at least 1 \(got 0\.5\)"),
    ],
)
def test_errors_of_resize_and_crop(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resize_and_crop(quadrants(), **options)


def test_tensor_round_trip_is_exact() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = to_tensor(Image.fromarray(pixels))
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor.min(), tensor.max()) == (0, 1)
    assert np.array_equal(np.asarray(to_image(tensor)), pixels)
    assert np.array_equal(np.asarray(to_image(tensor[0].bfloat16().float())).shape, (16, 16, 3))


def test_to_image_clips_and_rounds() -> None:
    values = torch.tensor([-1.0, 0.4999 / 255, 0.5001 / 255, 2.0]).expand(3, 1, 4)
    assert np.asarray(to_image(values))[0, :, 0].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4), (4, 4), (1, 1, 3, 4, 4)])
def test_to_image_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected one image \[3, H, W\] or \[1, 3, H, W\]"):
        to_image(torch.zeros(shape))


def test_to_image_refuses_nan() -> None:
    with pytest.raises(InputError, match="not finite"):
        to_image(torch.full((3, 4, 4), float("nan")))


def test_save_image_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.png"
    save_image(torch.zeros(1, 3, 4, 4), path)
    save_image(torch.ones(3, 4, 4), str(path))
    assert open_image(path).getpixel((0, 0)) == WHITE
    save_image(Image.new("RGBA", (2, 2)), tmp_path / "alpha.jpg", quality=50)
    assert open_image(tmp_path / "alpha.jpg").size == (2, 2)


def test_save_image_refuses_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can not tell the format from the suffix '\.xyz'; use"):
        save_image(quadrants(), tmp_path / "out.xyz")


def test_save_image_says_why_it_can_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can not write the image"):
        save_image(quadrants(), tmp_path / "file" / "out.png")


def test_preprocess_takes_any_picture(tmp_path: Path) -> None:
    assert preprocess(quadrants().convert("P")).shape == (1, 3, 256, 256)
    assert preprocess(quadrants(), size=8).shape == (1, 3, 8, 8)
    assert preprocess(quadrants(), size=None).shape == (1, 3, 20, 40)
    save_image(quadrants(), tmp_path / "a.png")
    assert torch.equal(preprocess(tmp_path / "a.png", 8), preprocess(quadrants(), 8))


def test_contact_sheet_places_every_image() -> None:
    rows = [[quadrants((8, 8)), quadrants((16, 8))], [quadrants((8, 8))]]
    plain = contact_sheet(rows)
    assert plain.size == (4 + 2 * 20, 4 + 2 * 12)
    assert plain.getpixel((5, 5)) == RED
    labelled = contact_sheet(rows, ["first row", "second"], ["source", "monet"])
    assert labelled.width > plain.width
    assert labelled.height == plain.height + 20
    dark = np.asarray(labelled.convert("L")) < 60
    assert dark[:20].any()  # the column labels
    assert dark[20:, :20].any()  # the row labels


def test_contact_sheet_refuses_nothing() -> None:
    with pytest.raises(InputError, match="at least one image"):
        contact_sheet([[]])


def test_only_upright_rgb_in_srgb_is_plain() -> None:
    plain = Image.new("RGB", (3, 2))
    assert is_plain(plain) and to_rgb(plain).tobytes() == plain.tobytes()
    plain.info["dpi"] = (72, 72)
    assert is_plain(plain)
    assert not is_plain(plain.convert("RGBA"))
    tagged = plain.copy()
    tagged.info["icc_profile"] = b"x"
    turned = plain.copy()
    turned.getexif()[0x0112] = 6
    assert not is_plain(tagged) and not is_plain(turned)
