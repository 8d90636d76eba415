"""Files that Pillow alone reads wrongly, not at all, or only with too much memory."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

import lgt.image.opening as opening
import lgt.image.read as read_module
from lgt.errors import InputError
from lgt.image import mask_value, open_image, read_exif, read_text, save_image, soft_mask
from lgt.image.deep import to_8_bit

RAMP = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(4, 0)


def png(
    bits: int, color: int, row: bytes, clear: bytes = b"", *, before: bytes = b""
) -> io.BytesIO:
    """Return a PNG of two pixels."""
    head = struct.pack(">IIBBBBB", 2, 1, bits, color, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", clear), (b"zTXt", before)]
    parts += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, part in parts:
        if part or name == b"IEND":
            data += struct.pack(">I", len(part)) + name + part
            data += struct.pack(">I", zlib.crc32(name + part))
    return io.BytesIO(data)


def tiff(path: Path, values: np.ndarray, **options: Any) -> np.ndarray:
    tifffile.imwrite(path, values, **options)
    return np.asarray(open_image(path, keep_alpha=True)).astype(int)


@pytest.mark.parametrize(
    ("bits", "color", "row", "clear"),
    [
        (16, 0, struct.pack(">HH", 1000, 65535), struct.pack(">H", 1000)),
        (16, 2, struct.pack(">6H", 1000, 0, 0, 0, 0, 65535), struct.pack(">3H", 1000, 0, 0)),
        (8, 0, bytes([9, 200]), struct.pack(">H", 9)),
        (4, 0, b"\x1f", struct.pack(">H", 1)),
        (2, 0, b"\x70", struct.pack(">H", 1)),
        (1, 0, b"\x40", struct.pack(">H", 0)),
        (16, 4, struct.pack(">4H", 1000, 0, 65535, 65535), b""),
    ],
)
def test_the_transparent_pixel_of_a_png(bits: int, color: int, row: bytes, clear: bytes) -> None:
    image = open_image(png(bits, color, row, clear), keep_alpha=True)
    assert [image.getpixel((x, 0))[3] for x in (0, 1)] == [0, 255]


@pytest.mark.parametrize(
    ("factor", "white"),
    [(1, 1), (1.05, 1.05), (0.5, 1), (255, 255), (65535, 65535), (12, 12), (100_000, 100_000)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff(tmp_path: Path, factor: float, white: float, channels: int) -> None:
    values = RAMP * np.float32(factor)
    shown = values if channels == 1 else np.dstack([values] * 3)
    seen = tiff(tmp_path / "a.tif", shown, photometric="rgb" if channels == 3 else None)
    assert np.abs(seen - np.dstack([values] * 3) / white * 255).max() <= 1


def test_float_tiff_with_highlights_negatives_and_gaps(tmp_path: Path) -> None:
    lit = RAMP.repeat(4, 0)
    lit[0, 0] = 40  # Less than 1 %: white stays 1.
    lit[1, 1] = -0.02
    lit[2, 2], lit[3, 3] = np.nan, np.inf
    seen = tiff(tmp_path / "a.tif", lit)[..., 0]
    assert (seen[0, 0], seen[1, 1], seen[2, 2], seen[3, 3]) == (255, 0, 0, 255)
    assert seen[8, 32] == round(255 * float(RAMP[0, 32]))
    seen = tiff(tmp_path / "b.tif", 2 * RAMP - 1)[..., 0]
    assert np.abs(seen - RAMP * 255).max() <= 1


@pytest.mark.parametrize("samples", [3, 4])
def test_planes_of_16_bits_are_what_pixels_are(tmp_path: Path, samples: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (6, 9, samples), dtype=np.uint16)
    extra = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    chunky = tiff(tmp_path / "a.tif", values, photometric="rgb", **extra)
    planes = np.moveaxis(values, -1, 0).copy()
    planar = tiff(tmp_path / "b.tif", planes, photometric="rgb", planarconfig="separate", **extra)
    assert np.array_equal(planar, chunky)
    assert np.array_equal(planar, values >> 8)


@pytest.mark.parametrize(
    ("values", "options", "wanted"),
    [
        (np.array([[0, 65535]], np.uint16), {"photometric": "miniswhite"}, [255, 0]),
        (np.array([[0, 2**32 - 1]], np.uint32), {}, [0, 255]),
        (np.array([[0, 200]], np.uint32), {}, [0, 200]),
        (np.array([[0, 32767]], np.int16), {}, [0, 255]),
        (np.array([[0, 200]], np.int16), {}, [0, 200]),
        (np.array([[-100, 32767]], np.int16), {"compression": "zlib"}, [0, 255]),
        (np.array([[0, 1.0]], np.float64), {}, [0, 255]),
        (np.array([[0, 0.5]], np.float16), {}, [0, 128]),
        (np.array([[0, 65535]], np.uint16), {"compression": "zlib", "predictor": True}, [0, 255]),
    ],
)
def test_other_deep_tiffs(
    tmp_path: Path, values: np.ndarray, options: dict[str, Any], wanted: list[int]
) -> None:
    wide, tall = values.repeat(16, 1), 4
    seen = tiff(tmp_path / "a.tif", wide.repeat(tall, 0), **options)
    assert seen[0, [0, 31], 1].tolist() == wanted


def test_tiff_of_tifffile_keeps_profile_dpi_and_orientation(tmp_path: Path) -> None:
    values = np.zeros((4, 6, 3), np.float32)
    values[0, 0] = 1
    tags = [(274, "H", 1, 6, True)]
    tiff(tmp_path / "a.tif", values, photometric="rgb", resolution=(300, 300), extratags=tags)
    image = open_image(tmp_path / "a.tif")
    assert image.size == (4, 6)
    assert image.getpixel((3, 0)) == (255, 255, 255)
    assert image.info == {"dpi": (300.0, 300.0)}


def test_errors_of_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tiff(path, np.dstack([RAMP] * 3), photometric="rgb", compression="zlib")

    def needs_codec(*_: Any, **__: Any) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", needs_codec)
    with pytest.raises(
        InputError, match=r"compressed \(.*\); install .* pip install 'lgt\[tiff\]'"
    ):
        open_image(path)
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"a\.tif: (the image is damaged|not an image)"):
        open_image(path)
    tifffile.imwrite(path, np.zeros((8, 8), np.complex64), photometric="minisblack")
    with pytest.raises(InputError, match=r"a TIFF of this kind is not read .*complex64"):
        open_image(path)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(InputError, match="needs tifffile; install it with: pip install tifffile"):
        open_image(path)


def test_png_with_much_text(tmp_path: Path) -> None:
    """Pillow alone calls it damaged, at the start or after the pixels."""
    photo, chunk = Image.new("RGB", (8, 8), "teal"), PngImagePlugin.PngInfo()
    chunk.add_text("notes", "a" * 5_000_000, zip=True)
    chunk.add_itxt("long", "b" * 5_000_000, zip=True)
    chunk.add_text("lgt", '{"lgt_version": "0"}')
    photo.save(tmp_path / "a.png", pnginfo=chunk)
    with pytest.raises(ValueError, match="too large"):
        Image.open(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").getpixel((1, 1)) == (0, 128, 128)
    assert read_text(tmp_path / "a.png") == '{"lgt_version": "0"}'
    data = png(8, 0, bytes([9, 200]), before=b"k\0\0" + zlib.compress(bytes(70_000_000)))
    assert open_image(data).getpixel((1, 0)) == (200, 200, 200)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_large_jpeg_is_read_reduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    photo = Image.fromarray(np.dstack([RAMP * 255] * 3).astype(np.uint8)).resize((640, 320))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300), **options)
    whole = np.asarray(open_image(tmp_path / "a.jpg").resize((20, 40)), int)
    monkeypatch.setattr(read_module, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(read_module, "MAX_BYTES", 700_000)
    small = open_image(tmp_path / "a.jpg", max_side=40)
    assert (small.size, small.info) == ((20, 40), {"dpi": (300.0, 300.0)})
    assert np.abs(np.asarray(small, int) - whole).max() <= 6
    assert open_image(tmp_path / "a.jpg", min_side=20).size == (20, 40)
    with pytest.raises(InputError, match=r"640 x 320 is .* paint it with --max_side"):
        open_image(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"640 x 320 is .* paint it with --max_side"):
        open_image(tmp_path / "a.jpg", max_side=400)


def test_large_pictures_of_other_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Image.fromarray((RAMP * 255).astype(np.uint8)).resize((600, 90))
    photo.save(tmp_path / "grey.png")
    photo.convert("RGB").save(tmp_path / "color.png")
    wanted = np.asarray(open_image(tmp_path / "grey.png").resize((60, 9), 1, reducing_gap=3), int)
    monkeypatch.setattr(read_module, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(read_module, "MAX_BYTES", 60_000)
    monkeypatch.setattr(read_module, "_BAND", 6_000)
    seen = np.asarray(open_image(tmp_path / "grey.png", max_side=60), int)
    assert np.abs(seen - wanted).max() <= 1  # No seams between bands.
    with pytest.raises(InputError, match=r"color\.png: .* only decoded whole, which takes"):
        open_image(tmp_path / "color.png", max_side=60)


def test_deep_grey_is_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (300, 500), dtype=np.uint16)
    wanted = np.rint(values.astype(float) * 255 / 65535).astype(np.uint8)
    assert np.array_equal(np.asarray(to_8_bit(Image.fromarray(values))), wanted)
    monkeypatch.setattr("lgt.image.deep.STRIP", 700)
    assert np.array_equal(np.asarray(to_8_bit(Image.fromarray(values))), wanted)


@pytest.mark.parametrize(
    ("suffix", "size"), [(".webp", (16384, 1)), (".gif", (1, 65536)), (".jpg", (65501, 1))]
)
def test_limits_of_formats(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} pixels, and .* takes at most"):
        save_image(Image.new("RGB", size), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
    longest = max(size) - 1
    save_image(Image.new("RGB", (longest, 1)), tmp_path / f"a{suffix}")
    assert open_image(tmp_path / f"a{suffix}").size == (longest, 1)


@pytest.mark.parametrize("source", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("target", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_dpi_is_kept(tmp_path: Path, source: str, target: str) -> None:
    photo = Image.new("RGB", (8, 8))
    photo.info["dpi"] = (300, 150)
    save_image(photo, tmp_path / f"a{source}", text='{"lgt": 1}')
    image = open_image(tmp_path / f"a{source}")
    exif = read_exif(tmp_path / f"a{source}")
    save_image(image, tmp_path / f"b{target}", text='{"lgt": 1}', exif=exif)
    seen = open_image(tmp_path / f"b{target}").info["dpi"]
    assert seen == pytest.approx((300, 150), abs=0.1)


def test_the_value_of_a_mask_is_luma_times_alpha() -> None:
    mask = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    mask.putpixel((1, 0), (255, 255, 255, 255))
    mask.putpixel((2, 0), (255, 255, 255, 128))
    mask.putpixel((3, 0), (0, 0, 0, 255))
    for each in (mask, mask.convert("LA")):
        assert list(mask_value(each).tobytes()) == [0, 255, 128, 0]
        assert list(soft_mask(each, (4, 1), invert=True).tobytes()) == [255, 0, 127, 255]
    plain = Image.new("RGB", (1, 1), (255, 0, 0))
    assert mask_value(plain).getpixel((0, 0)) == 76


def test_heic_without_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"  # By its content, whatever the name.
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(90))
    monkeypatch.setattr(opening, "_has_reader", lambda _: False)
    with pytest.raises(InputError, match=r"a HEIC picture; .* pip install 'lgt\[heif\]'"):
        open_image(path)


def test_heic_and_avif_are_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    photo = Image.new("RGB", (64, 48), (200, 40, 90))
    heif.from_pillow(photo).save(tmp_path / "a.heic", quality=90)
    photo.save(tmp_path / "a.avif", quality=90)
    for name in ("a.heic", "a.avif"):
        image = open_image(tmp_path / name)
        assert image.size == (64, 48)
        assert np.abs(np.array(image.getpixel((9, 9))) - (200, 40, 90)).max() <= 4
