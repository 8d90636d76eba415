"""What preprocessing refuses, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from toys import make_images

from lgt.codec import CodecSpec, DCTCodec
from lgt.data.preprocess import PreprocessReport, preprocess_folder
from lgt.errors import CodecError, InputError

if TYPE_CHECKING:
    from pathlib import Path


def run(raw: Path, out: Path, **options: Any) -> PreprocessReport:
    return preprocess_folder(raw, out, **{"target_size": 32, "codec": "dct:4", **options})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_images(tmp_path / "raw", ["a/1.png", "a/sub/deep/2.PNG", "b/1.jpg", "b/3.webp"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_size": 250}, r"positive multiple of 8 \(got 250\); use 248 or 256"),
        ({"target_size": 0}, r"positive multiple of 8 \(got 0\); use 8"),
        ({"target_size": 3}, r"positive multiple of 8 \(got 3\); use 8"),
        ({"batch_size": 0}, r"batch_size: must be at least 1 \(got 0\)"),
        ({"num_crops": 0}, r"num_crops: must be at least 1 \(got 0\)"),
        ({"num_workers": -1}, r"num_workers: must be at least 0 \(got -1\)"),
        ({"codec": "nothing"}, "codec 'nothing': not a codec"),
    ],
)
def test_errors_of_settings(raw: Path, out: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, CodecError), match=message):
        run(raw, out, **options)
    assert not out.exists()


def test_error_of_a_codec_with_larger_blocks(raw: Path, out: Path) -> None:
    codec = DCTCodec(4)
    codec.spec = CodecSpec("coarse", "coarse", 4, downscale=16)
    with pytest.raises(InputError, match=r"multiple of 16 \(got 40\); use 32 or 48"):
        run(raw, out, codec=codec, target_size=40)


def test_errors_of_folders(raw: Path, out: Path, tmp_path: Path) -> None:
    def refuses(raw_root: Path, output_root: Path, message: str) -> None:
        with pytest.raises(InputError, match=message):
            run(raw_root, output_root)

    nowhere = tmp_path / "no" / "where"
    refuses(nowhere, out, rf"no such folder: .*where \(the nearest that exists is {tmp_path}\)")
    refuses(raw / "a/1.png", out, "raw_data_root: is a file, not a folder")
    refuses(raw, raw / "b/1.jpg", "output_root: is a file, not a folder")
    refuses(raw, raw, "output_root: is the same folder as raw_data_root")
    refuses(raw, raw / "latents", "lies inside raw_data_root .*taken for a style; choose")
    refuses(raw, tmp_path, "raw_data_root: .*lies inside output_root .*choose an output")
    refuses(
        raw / "b", out, r"has no style folder, only 2 image\(s\) directly in it; put the images"
    )
    (raw / "c").mkdir()
    (raw / "d").mkdir()
    (raw / "d" / "x.cr2").touch()
    (raw / "d" / "y.cr2").touch()
    (tmp_path / "void").mkdir()
    refuses(tmp_path / "void", out, "has no style folder, only nothing usable in it")
    refuses(raw, out, r"(?s)with no image:\n.*c: found no file at all\n.*d: found 2 x \.cr2\n.*rem")
    assert not out.exists()


def test_error_of_an_output_that_can_not_be_written(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output_root: can not write to"):
        run(raw, tmp_path / "file" / "out")
