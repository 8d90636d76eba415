"""Which files of a folder are pictures, everywhere a folder is read."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from PIL import Image

from lgt.data.preprocess import preprocess_folder
from lgt.errors import InputError
from lgt.image import IMAGE_SUFFIXES, left_out, open_image, pictures_among, visible_files
from lgt.image.kinds import HEAD, kind_of, why_left_out
from lgt.image.moving import VIDEO_SUFFIXES
from lgt.metrics.folders import pictures_in
from lgt.train.views import picture_files


def ftyp(*brands: bytes) -> bytes:
    return (
        struct.pack(">I", 12 + 4 * len(brands))
        + b"ftyp"
        + brands[0]
        + bytes(4)
        + b"".join(brands[1:])
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "raw" / "style"
    (root / "sub").mkdir(parents=True)
    photo = Image.new("RGB", (40, 40), "teal")
    photo.save(root / "a.avif")
    photo.save(root / "b.JPG", "JPEG")
    photo.save(root / "sub" / "c.tif")
    photo.save(root / "d", "WEBP")
    photo.save(root / ".hidden.png")
    (root / "e.cr2").write_bytes(b"II*\0" + bytes(60))
    (root / "notes.txt").write_text("P1 is a plan")
    (root / "gone.png").symlink_to("/nowhere.png")
    (root / "circle").symlink_to("circle")
    (root / "folder.png").mkdir()
    return root


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (ftyp(b"heic", b"mif1"), "HEIF"),
        (ftyp(b"mif1", b"avif", b"miaf"), "AVIF"),
        (ftyp(b"isom", b"mp41"), None),
        (ftyp(b"crx ", b"isom"), "camera raw"),
        (b"P1 is a plan", None),
        (b"P6 640 480 255 ", "PPM"),
        (b"P5\n# made by", "PPM"),
        (b"BM", None),
        (b"", None),
    ],
)
def test_kinds(head: bytes, kind: str | None) -> None:
    assert kind_of(head.ljust(HEAD, b"\0") if head else head) == kind


def test_what_pillow_writes_is_told(tmp_path: Path) -> None:
    told = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "QOI", "DDS", "AVIF")
    for name in told:
        Image.new("RGB", (16, 16), "teal").save(tmp_path / "x", name)
        assert kind_of((tmp_path / "x").read_bytes()[:HEAD]) == name
        assert open_image(tmp_path / "x").size == (16, 16)


def test_image_and_video_suffixes_share_but_gif() -> None:
    assert {".gif"} == IMAGE_SUFFIXES & VIDEO_SUFFIXES


def test_every_reader_of_folders_takes_the_same(folder: Path) -> None:
    wanted = ["a.avif", "b.JPG", "gone.png", "sub/c.tif"]
    for paths in (
        pictures_in(folder, "photos"),
        picture_files(folder, "--photos"),
        sorted(pictures_among(visible_files(folder))),
    ):
        assert [path.relative_to(folder).as_posix() for path in paths] == wanted


def test_what_is_left_out(folder: Path) -> None:
    reasons = {path.name: reason for path, reason in left_out(folder)}
    assert reasons == {
        "circle": "a link that leads nowhere, or may not be followed",
        "d": "is a WebP picture by its content; name it *.webp",
        "e.cr2": "is a camera's raw picture, which is not read; convert it to TIFF, PNG or JPEG",
    }


def test_a_link_that_may_not_be_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shut.jpg").symlink_to("/elsewhere.jpg")
    plain = os.stat

    def stat(path: object, *args: object, **options: object) -> os.stat_result:
        if str(path).endswith("shut.jpg") and options.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    report = preprocess_folder(
        folder.parent, folder.parents[1] / "out", target_size=32, codec="dct:4"
    )
    assert report.written == ["style/a.pt", "style/b.pt", "style/sub/c.pt"]
    assert {path.name: reason for path, reason in report.failed} == {
        "gone.png": "a link to /nowhere.png, which is not there",
        "shut.jpg": "can not be read (Permission denied)",
    }
    assert sorted(path.name for path, _ in report.left_out) == ["circle", "d", "e.cr2"]


def test_a_folder_of_other_kinds_says_what_it_saw(tmp_path: Path) -> None:
    from lgt.batch import find_photos

    (tmp_path / "x.jxl").write_bytes(b"\xff\x0a" + bytes(60))
    with pytest.raises(InputError, match=r"no image in this folder .*x\.jxl is a JPEG XL picture"):
        find_photos([tmp_path])
    assert why_left_out(tmp_path / "missing") is None
