"""Pictures say how they were made, and can be made again from what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import ExifTags, Image
from toys import config, run_lgt, write_model
from typer.main import get_command

from lgt import __version__
from lgt.cli.app import _application_of
from lgt.cli.transfer import inference
from lgt.errors import InputError
from lgt.image import read_exif, save_image
from lgt.inference import LGTInference
from lgt.paint.provenance import CodecRecord, FileRecord, Provenance, read_provenance, short_sha256
from lgt.paint.recipe import recipe_of

MODEL = Path("checkpoints/latest.pt")
COMMENT = ExifTags.Base.UserComment


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model of three styles, a picture with EXIF, and masks."""
    monkeypatch.chdir(tmp_path)
    settings = config(
        data__style_subdirs=["photo", "paint", "ink"], model__num_styles=3, inference__detail=0.25
    )
    write_model(MODEL, settings)
    coarse = np.random.default_rng(0).integers(20, 236, (7, 5, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((40, 56), Image.Resampling.BICUBIC)
    photo.save("input.jpg", exif=camera_exif())
    for name, width in (("left", 16), ("half", 20)):
        mask = Image.new("L", (40, 56))
        mask.paste(255, (0, 0, width, 56))
        mask.save(f"{name}.png")
    return tmp_path


def camera_exif(comment: bytes | None = None) -> Image.Exif:
    """Return what a camera writes: its name, an orientation, a size, a place."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = 3
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExifImageWidth] = 4000
    if comment is not None:
        details[COMMENT] = comment
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def transfer(*arguments: object) -> Result:
    result = run_lgt("transfer", "input.jpg", *arguments)
    assert result.exit_code == 0, result.stderr
    return result


def made_of(name: str) -> Provenance:
    made = read_provenance(Path(name))
    assert made is not None
    return made


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(name), dtype=int)


def record(**changes: object) -> Provenance:
    """Return a record made by hand."""
    values = {
        "model": FileRecord(name="m.pt", sha256="0" * 16),
        "codec": CodecRecord(name="dct:4"),
        "device": "cpu",
        "input": FileRecord(name="été.jpg", sha256="1" * 16),
        "style": {"paint": 1 / 3, "ink": 2 / 3},
        "seed": 0,
    }
    return Provenance(**{**values, **changes})  # type: ignore[arg-type]


def test_the_json_is_ascii_and_comes_back_to_the_bit() -> None:
    made = record(settings={"strength": 0.1 + 0.2})
    text = made.to_json()
    assert text.isascii()
    assert text.startswith('{"lgt":"')
    assert Provenance.from_json(text) == made
    assert Provenance.from_json(text[:-1] + ',"future":1}') == made


def test_same_work_is_all_but_version_and_device() -> None:
    made = record()
    assert made.is_same_work(record(lgt_version="0.0.1", device="cuda"))
    for change in ({"seed": 1}, {"style": {"ink": 1.0}}, {"settings": {"detail": 1.0}}):
        assert not made.is_same_work(record(**change))


def test_a_record_from_before_canvases_is_painted_at_its_own_size() -> None:
    for settings, canvas in (({"detail": 0.5}, 0), ({"canvas": 512}, 512)):
        recipe = recipe_of(record(settings=settings), lambda _: pytest.fail("no masks"))
        assert recipe.controls.canvas == canvas


def test_a_record_from_before_the_photos_colours_came_back_has_none() -> None:
    for settings, color in (({"detail": 0.5}, 0), ({"color": 0.4}, 0.4)):
        recipe = recipe_of(record(settings=settings), lambda _: pytest.fail("no masks"))
        assert recipe.controls.color == color


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_every_format_carries_it(suffix: str) -> None:
    transfer(f"a.{suffix}", "--style", "paint", "--seed", 7, "--precision", "fp32")
    made = made_of(f"a.{suffix}")
    lgt = LGTInference(MODEL)
    assert made.lgt_version == __version__
    assert made.model == FileRecord(name="latest.pt", sha256=lgt.fingerprint)
    assert made.codec.name == lgt.load_codec().spec.name
    assert made.input.sha256 == short_sha256(Path("input.jpg").read_bytes())
    assert (made.input.name, made.style, made.seed) == ("input.jpg", {"paint": 1.0}, 7)
    assert (made.settings, made.masks) == ({"detail": 0.25, "color": 0.0, "canvas": 640}, {})


def test_settings_are_what_differs_from_the_defaults() -> None:
    options = "--style ink --strength 0.5 --preserve_color --style_scale 2 --num_steps 3 --no_cfg"
    extra = "--precision bf16 --source_style 0 --mask left.png --invert_mask --mask_feather 2"
    transfer("a.png", *options.split(), *extra.split(), "--region", "half.png:paint")
    made = made_of("a.png")
    assert made.settings == {
        "detail": 0.25,
        "color": 0.0,
        "canvas": 640,
        "strength": 0.5,
        "preserve_color": True,
        "style_scale": 2.0,
        "source_style": "photo",
        "invert_mask": True,
        "mask_feather": 2.0,
        "inference.num_steps": 3,
        "inference.use_cfg": False,
        "precision": "bf16",
    }
    left, half = (short_sha256(Path(f"{name}.png").read_bytes()) for name in ("left", "half"))
    assert made.masks == {"mask": FileRecord(name="left.png", sha256=left)}
    (region,) = made.regions
    assert (region.mask.sha256, region.style) == (half, {"paint": 1.0})


def test_other_weights_are_another_model() -> None:
    transfer("a.png", "--style", "ink")
    write_model(MODEL, config(data__style_subdirs=["photo", "paint"], training__seed=9))
    transfer("b.png", "--style", "paint")
    assert made_of("a.png").model.sha256 != made_of("b.png").model.sha256


def test_exif_of_the_photo_is_kept_but_for_its_orientation() -> None:
    for name in ("a.jpg", "a.webp", "a.png"):
        transfer(name, "--style", "paint")
        exif = Image.open(name).getexif()
        assert exif[ExifTags.Base.Make] == "Camera"
        assert ExifTags.Base.Orientation not in exif
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 40
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_no_metadata_leaves_all_out() -> None:
    for name in ("a.jpg", "a.webp", "a.png"):
        transfer(name, "--style", "paint", "--no_metadata")
        assert read_provenance(Path(name)) is None
        assert len(Image.open(name).getexif()) == 0
    result = run_lgt("inspect", "a.png")
    assert result.exit_code == 2
    assert "a.png: does not say how it was made" in result.stderr


def test_a_comment_of_the_camera_stays() -> None:
    comment = b"ASCII\0\0\0my dog"
    Image.open("input.jpg").save("input.jpg", exif=camera_exif(comment))
    transfer("a.jpg", "--style", "paint")
    exif = Image.open("a.jpg").getexif()
    assert exif.get_ifd(ExifTags.IFD.Exif)[COMMENT] == comment
    assert made_of("a.jpg").style == {"paint": 1.0}


def test_a_result_painted_again_says_the_new_only() -> None:
    transfer("a.jpg", "--style", "paint")
    assert run_lgt("transfer", "a.jpg", "b.jpg", "--style", "ink").exit_code == 0
    assert made_of("b.jpg").style == {"ink": 1.0}
    assert made_of("b.jpg").input.name == "a.jpg"


def test_exif_too_large_for_jpeg_gives_way() -> None:
    exif = camera_exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"x" * 70_000
    save_image(Image.new("RGB", (8, 8)), "a.jpg", text=record().to_json(), exif=exif)
    assert made_of("a.jpg") == record()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_none() -> None:
    Image.new("RGB", (8, 8)).save("a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_exif(Path("a.jpg")) is None
    assert read_exif(Path("gone.jpg")) is None


@pytest.mark.parametrize(
    "options",
    [
        "--style paint",
        "--style ink --temperature_lambda 0.5 --seed 3",
        "--blend paint:0.6,ink:0.3 --strength 0.7 --detail 0.3 --repulsion 0.2",
        "--style paint --mask left.png --invert_mask --mask_feather 1.5 --detail 1 "
        "--detail_mask half.png",
        "--region half.png:paint --region left.png:ink --max_side 30",
        "--style ink --precision bf16 --num_steps 2 --no_cfg --source_style photo --tile 0",
        "--style ink --set training.solver=heun --set inference.cfg_decay=false",
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_replay_is_the_same_picture_to_the_byte(options: str, suffix: str) -> None:
    transfer(f"a.{suffix}", *options.split())
    result = run_lgt("inspect", f"a.{suffix}", "--replay", f"b.{suffix}")
    assert result.exit_code == 0, result.stderr
    assert "warning" not in result.stderr
    assert Path(f"a.{suffix}").read_bytes() == Path(f"b.{suffix}").read_bytes()


def test_documented_command_and_standard_input_replay() -> None:
    command = get_command(_application_of(inference))
    arguments = [str(MODEL), "input.jpg", "a.png", "--target_style_id", "1"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert made_of("a.png").style == {"paint": 1.0}
    assert run_lgt("inspect", "a.png", "--replay", "b.png").exit_code == 0
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert CliRunner().invoke(command, [*arguments, "--no_metadata"]).exit_code == 0
    assert read_provenance(Path("a.png")) is None


def test_a_replay_finds_the_photo_beside_the_picture_or_takes_the_named_one() -> None:
    Path("out").mkdir()
    transfer("out/a.png", "--style", "paint", "--mask", "left.png")
    for name in ("input.jpg", "left.png"):
        Path(name).rename(f"out/{name}")
    assert run_lgt("inspect", "out/a.png", "--replay", "b.png").exit_code == 0
    assert np.array_equal(pixels("out/a.png"), pixels("b.png"))
    for folder, name in (("else", "input.jpg"), ("masks", "left.png")):
        Path(folder).mkdir()
        Path("out", name).rename(f"{folder}/{name}")
    lost = run_lgt("inspect", "out/a.png", "--replay", "c.png")
    assert lost.exit_code == 2
    assert "input.jpg: no such file in out, .; a replay needs it, name it with --input" in (
        lost.stderr
    )
    named = ("--input", "else/input.jpg")
    lost = run_lgt("inspect", "out/a.png", "--replay", "c.png", *named)
    assert "left.png: no such file" in lost.stderr
    assert not Path("c.png").exists()
    done = run_lgt("inspect", "out/a.png", "--replay", "c.png", *named, "--masks", "masks")
    assert done.exit_code == 0, done.stderr
    assert np.array_equal(pixels("out/a.png"), pixels("c.png"))


def test_the_file_of_the_right_bytes_wins() -> None:
    Path("out").mkdir()
    transfer("out/a.png", "--style", "paint")
    Image.new("RGB", (9, 9)).save("out/input.jpg")
    result = run_lgt("inspect", "out/a.png", "--replay", "b.png")
    assert "warning" not in result.stderr
    assert np.array_equal(pixels("out/a.png"), pixels("b.png"))


def test_a_replay_warns_of_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    transfer("a.png", "--style", "paint")
    made = made_of("a.png")
    changed = made.model_copy(
        update={"lgt_version": "0.0.1", "codec": CodecRecord(name="old", fingerprint="f" * 16)}
    )
    save_image(Image.open("a.png"), "a.png", text=changed.to_json())
    write_model(MODEL, config(data__style_subdirs=["photo", "paint"], training__seed=9))
    Image.new("RGB", (40, 56)).save("input.jpg")
    result = run_lgt("inspect", "a.png", "--replay", "b.png")
    assert result.exit_code == 0, result.stderr
    for text in ("lgt 0.0.1", "model latest.pt", "codec old", "input.jpg was"):
        assert text in result.stderr
    assert made_of("b.png").lgt_version == __version__


def test_inspect_prints_text_and_json() -> None:
    transfer("a.jpg", "--blend", "paint:3,ink:1", "--strength", 0.5, "--mask", "left.png")
    rows = dict(line.split(maxsplit=1) for line in run_lgt("inspect", "a.jpg").stdout.splitlines())
    assert rows["style"] == "paint 0.75 + ink 0.25"
    assert rows["strength"] == "0.5"
    assert rows["mask"].startswith("left.png (")
    values = json.loads(run_lgt("inspect", "a.jpg", "--json").stdout)
    assert values == json.loads(made_of("a.jpg").to_json())


def test_a_sheet_says_what_it_shows_and_has_no_replay() -> None:
    transfer("out", "--style", "paint,ink")
    assert made_of("out/input_sheet.png").sheet == ("source", "paint", "ink")
    assert "sheet" in run_lgt("inspect", "out/input_sheet.png").stdout
    result = run_lgt("inspect", "out/input_sheet.png", "--replay", "b.png")
    assert result.exit_code == 2
    assert "sheet of several pictures" in result.stderr
    assert run_lgt("inspect", "out/input_ink.png", "--replay", "b.png").exit_code == 0


def test_a_replay_writes_over_nothing_that_it_reads() -> None:
    Image.linear_gradient("L").save("mask.png")
    transfer("a.png", "--style", "paint", "--mask", "mask.png")
    before = {name: Path(name).read_bytes() for name in ("a.png", "input.jpg", "mask.png")}
    for name in before:
        result = run_lgt("inspect", "a.png", "--replay", name)
        assert result.exit_code == 2
        assert f"{name}: is what is read, and would be lost" in result.stderr
    assert {name: Path(name).read_bytes() for name in before} == before


def test_mistakes() -> None:
    assert "no such file" in run_lgt("inspect", "gone.png").stderr
    Path("text.png").write_text("hello")
    assert "not an image" in run_lgt("inspect", "text.png").stderr
    save_image(Image.new("RGB", (8, 8)), "a.png", text='{"lgt":"0.1.0"}')
    with pytest.raises(InputError, match=r"a\.png: its provenance is damaged \(model: "):
        read_provenance(Path("a.png"))
    odd = record(settings={"glitter": 1})
    save_image(Image.new("RGB", (8, 8)), "a.png", text=odd.to_json())
    arguments = ("--replay", "b.png", "--input", "input.jpg", "--model", MODEL)
    result = run_lgt("inspect", "a.png", *arguments)
    assert "the settings glitter are of another version" in result.stderr
    os.unlink(MODEL)  # noqa: PTH108
    assert "no such model" in run_lgt("inspect", "a.png", *arguments[:4]).stderr
