"""Large pictures are read in bounded memory, and to the same bits."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin
from profiles import wide_rgb
from toys import run_lgt

import lgt.image.read
from lgt.errors import InputError
from lgt.image import limit_side, open_image, read_exif, read_text
from lgt.image.jpeg import MAX_SCANS, num_scans
from lgt.image.png import has_late_metadata

SIDES = (203, 131)


def noise(channels: int, *, deep: bool = False) -> np.ndarray:
    shape = (SIDES[1], SIDES[0]) if channels == 1 else (SIDES[1], SIDES[0], channels)
    high, kind = (65536, np.uint16) if deep else (256, np.uint8)
    return np.random.default_rng(0).integers(0, high, shape, dtype=kind)


def kinds() -> dict[str, Image.Image]:
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    plain = Image.fromarray(noise(3))
    plain.info = {"dpi": (300, 300)}
    palette = plain.quantize(32)
    palette.info["transparency"] = 3
    deep = Image.fromarray(noise(1, deep=True))
    profiled = Image.fromarray(noise(3))
    profiled.info["icc_profile"] = wide_rgb()
    upside = Image.fromarray(noise(3))
    upside.info["exif"] = turned.tobytes()
    return {
        "RGB": plain,
        "RGBA": Image.fromarray(noise(4)),
        "LA": Image.fromarray(noise(4)).convert("LA"),
        "P": palette,
        "1": plain.convert("1"),
        "16 bits": deep,
        "profile": profiled,
        "turned": upside,
    }


@pytest.mark.parametrize("keep_alpha", [False, True])
@pytest.mark.parametrize("max_side", [13, 20, 33])
def test_large_pictures_are_reduced_to_the_same_bits(
    keep_alpha: bool, max_side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, picture in kinds().items():
        path = tmp_path / f"{name}.png"
        options = {k: v for k, v in picture.info.items() if k != "transparency" or name == "P"}
        picture.save(path, **options)
        whole = limit_side(open_image(path, keep_alpha=keep_alpha), max_side)
        with monkeypatch.context() as patch:
            patch.setattr(lgt.image.read, "_WHOLE", 100)
            patch.setattr(lgt.image.read, "_BAND", 203 * 40)
            small = open_image(path, keep_alpha=keep_alpha, max_side=max_side)
        assert (small.mode, small.size) == (whole.mode, whole.size), name
        assert small.tobytes() == whole.tobytes(), name
        assert small.info.get("dpi") == open_image(path).info.get("dpi"), name


def jpeg_with_scans(extra: int) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    buffer = io.BytesIO()
    Image.fromarray(noise(3)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * extra + data[-2:]


def test_scans_are_counted_and_bounded(tmp_path: Path) -> None:
    usual = num_scans(io.BytesIO(jpeg_with_scans(0)))
    assert 5 < usual < 15
    assert num_scans(io.BytesIO(jpeg_with_scans(7))) == usual + 7
    video = jpeg_with_scans(0) + b"\xff\xda\0\2" * 500  # A phone's moving photo ends in a video.
    assert num_scans(io.BytesIO(video)) == usual
    for cut in range(2, 200):
        num_scans(io.BytesIO(video[:cut]))
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with_scans(MAX_SCANS))
    with pytest.raises(InputError, match="more than 100 scans"):
        open_image(path)
    path.write_bytes(video)
    assert open_image(path).size == SIDES


def test_texts_are_read_without_decoding_unless_they_follow_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("lgt", '{"lgt": "1"}')
    early, late = tmp_path / "early.png", tmp_path / "late.png"
    Image.fromarray(noise(3)).save(early, pnginfo=chunk, exif=exif)
    data = early.read_bytes()
    start = data.index(b"eXIf") - 4
    length = int.from_bytes(data[start : start + 4], "big") + 12
    late.write_bytes(data[:start] + data[start + length : -12] + data[start : start + length])
    late.write_bytes(late.read_bytes() + data[-12:])
    assert [has_late_metadata(path.open("rb")) for path in (early, late)] == [False, True]
    for path in (early, late):
        found = read_exif(path)
        assert found is not None and found[ExifTags.Base.Make] == "Camera"
        assert read_text(path) == '{"lgt": "1"}'
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", None)
    assert read_text(early) == '{"lgt": "1"}' and read_exif(early) is not None
    assert run_lgt("inspect", early).exit_code == 2  # Damaged, and not decoded for it.


@pytest.mark.parametrize("keep_alpha", [False, True])
def test_large_pictures_are_converted_to_the_same_bits(
    keep_alpha: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, picture in kinds().items():
        path = tmp_path / f"{name}.png"
        options = {k: v for k, v in picture.info.items() if k != "transparency" or name == "P"}
        picture.save(path, **options)
        whole = open_image(path, keep_alpha=keep_alpha)
        with monkeypatch.context() as patch:
            patch.setattr(lgt.image.read, "_WHOLE", 100)
            patch.setattr(lgt.image.read, "_STRIP", 203 * 40)
            banded = open_image(path, keep_alpha=keep_alpha)
        assert (banded.mode, banded.info) == (whole.mode, whole.info), name
        assert banded.tobytes() == whole.tobytes(), name


READS = """
import pathlib, sys
from lgt.image import open_image
status = pathlib.Path("/proc/self/status")
peak = lambda: int(status.read_text().split("VmHWM:")[1].split()[0])
open_image(sys.argv[1])
before = peak()
open_image(sys.argv[2], keep_alpha=True)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
@pytest.mark.parametrize("channels", [3, 4])
def test_large_pictures_are_in_memory_once(channels: int, tmp_path: Path) -> None:
    deep, small = tmp_path / "deep.png", tmp_path / "small.png"
    Image.new("RGB", (40, 40)).save(small)
    side, kind = 6000, {3: 2, 4: 6}[channels]
    row = zlib.compressobj(1)
    line = b"\0" + bytes((120, 0, 60, 0, 200, 0, 255, 255)[: 2 * channels]) * side
    pixels = b"".join(row.compress(line) for _ in range(side)) + row.flush()
    header = struct.pack(">IIBBBBB", side, side, 16, kind, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")
    deep.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )
    command = [sys.executable, "-c", READS, str(small), str(deep)]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert taken < 1.5 * 4 * side**2 / 1024  # Pillow has four bytes a pixel; KiB.


def test_what_is_in_memory_twice_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned, in CMYK, grey with alpha, or laid on paper; also where a smaller size is wanted."""
    monkeypatch.setattr(lgt.image.read, "_MOST_COPIED", SIDES[0] * SIDES[1] - 1)
    pictures = kinds() | {"CMYK": Image.fromarray(noise(3)).convert("CMYK")}
    for name in ("RGB", "RGBA", "P", "1", "16 bits", "turned", "CMYK", "LA"):
        path = tmp_path / f"{name}.{'jpg' if name == 'CMYK' else 'png'}"
        exif = {"exif": pictures[name].info["exif"]} if name == "turned" else {}
        pictures[name].save(path, **exif)
        is_copied = name in ("turned", "CMYK", "LA")
        for keep_alpha in (True, False):
            if is_copied or (name == "RGBA" and not keep_alpha):
                with pytest.raises(
                    InputError, match=r"turned or converted are read whole; .*--max"
                ):
                    open_image(path, keep_alpha=keep_alpha)
            else:
                assert open_image(path, keep_alpha=keep_alpha).size == SIDES
        if is_copied:
            small = open_image(path, max_side=50)
            assert max(small.size) == 50
            assert (small.width < small.height) == (name == "turned")


def test_pixels_of_others_are_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lgt.image.read, "_WHOLE", 100)
    data = noise(4).tobytes()
    before = bytearray(data)
    seen = Image.frombuffer("RGBA", SIDES, data, "raw", "RGBA", 0, 1)
    seen.info["icc_profile"] = wide_rgb()
    plain = lgt.image.read._plain(seen)
    found = lgt.image.read._to_srgb(plain, keep_alpha=True, is_own=True)
    assert found.tobytes() != before and data == before
