"""The controls on the command line: `lgt transfer --strength 0.5 ...`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from toys import config, run_lgt, write_model


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model of three styles, a picture and masks of its left part."""
    monkeypatch.chdir(tmp_path)
    settings = config(data__style_subdirs=["photo", "paint", "ink"], model__num_styles=3)
    write_model(Path("checkpoints/latest.pt"), settings)
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(20, 236, (7, 5, 3), dtype=np.uint8))
    coarse.resize((40, 56), Image.Resampling.BICUBIC).save("input.png")
    for name, width in (("left", 16), ("half", 20)):
        mask = Image.new("L", (40, 56))
        mask.paste(255, (0, 0, width, 56))
        mask.save(f"{name}.png")
    return tmp_path


def transfer(*arguments: object) -> Result:
    return run_lgt("transfer", "input.png", *arguments)


def painted(name: str, *arguments: object) -> np.ndarray:
    """Run a transfer that must succeed; return the picture's pixels."""
    result = transfer(name, *arguments)
    assert result.exit_code == 0, result.stderr
    return pixels(name)


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(name), dtype=int)


@pytest.mark.parametrize(
    "option",
    [
        "--strength 0.5",
        "--detail 1",
        "--color 0.7",
        "--detail 1 --detail_mask left.png",
        "--detail 1 --detail-mask left.png",
        "--preserve_color",
        "--preserve-color",
        "--mask left.png",
        "--mask left.png --invert_mask",
        "--mask left.png --mask_feather 3",
        "--style_scale 2",
        "--style-scale 0.5",
        "--repulsion 0.7",
        "--region left.png:ink",
    ],
)
def test_options_have_an_effect(option: str) -> None:
    plain = painted("plain.png", "--style", "paint")
    changed = painted("a.png", "--style", "paint", *option.split())
    assert changed.shape == plain.shape
    assert not np.array_equal(changed, plain)


def test_no_strength_is_the_photo() -> None:
    assert np.array_equal(
        painted("a.png", "--style", "paint", "--strength", 0), pixels("input.png")
    )


def test_tiles_change_next_to_nothing() -> None:
    Image.open("input.png").resize((200, 72)).save("input.png")
    whole = painted("a.png", "--style", "paint", "--tile", 0)
    assert np.array_equal(painted("b.png", "--style", "paint", "--tile", "auto"), whole)
    # The toy network's statistics come from few blocks.
    assert np.abs(painted("c.png", "--style", "paint", "--tile", 64) - whole).mean() < 4


def test_masks_feathered_and_inverted() -> None:
    photo, full = pixels("input.png"), painted("full.png", "--style", "paint")
    result = painted("a.png", "--style", "paint", "--mask", "half.png")
    assert np.array_equal(result[:, :20], full[:, :20])
    assert np.array_equal(result[:, 20:], photo[:, 20:])
    turned = painted("b.png", "--style", "paint", "--mask", "half.png", "--invert-mask")
    assert np.array_equal(turned[:, 20:], full[:, 20:])
    soft = painted("c.png", "--style", "paint", "--mask", "half.png", "--mask-feather", 2)
    assert np.array_equal(soft[:, 30:], photo[:, 30:])
    assert not np.array_equal(soft[:, 20:22], photo[:, 20:22])


def test_regions_lie_above_each_other() -> None:
    ink, paint = (painted(f"{name}.png", "--style", name) for name in ("ink", "paint"))
    regions = ("--region", "half.png:paint", "--region", "left.png:ink")
    result = painted("a.png", *regions)
    assert np.array_equal(result[:, :16], ink[:, :16])
    assert np.array_equal(result[:, 16:20], paint[:, 16:20])
    assert np.array_equal(result[:, 20:], pixels("input.png")[:, 20:])
    on_style = painted("b.png", "--style", "paint", "--region", "left.png:ink", "--max_side", 28)
    assert on_style.shape == (28, 20, 3)


def test_blends() -> None:
    paint = painted("a.png", "--style", "paint")
    assert np.array_equal(painted("b.png", "--blend", "paint:3"), paint)
    result = transfer("c.png", "--blend", "paint:3,ink:1")
    assert "style paint 0.75 + ink 0.25," in result.stdout
    assert not np.array_equal(pixels("c.png"), paint)
    Path("out").mkdir()
    assert transfer("out", "--blend", "paint:3,ink:1").exit_code == 0
    assert Path("out/input_paint0.75-ink0.25.png").exists()


def test_variants_are_seeds() -> None:
    warm = ("--style", "paint", "--temperature_lambda", 0.5)
    result = transfer("out", *warm, "--variants", 3, "--seed", 5)
    assert result.exit_code == 0, result.stderr
    names = [f"input_paint_seed{seed}.png" for seed in (5, 6, 7)]
    assert sorted(path.name for path in Path("out").iterdir()) == [*names, "input_sheet.png"]
    alone = painted("alone.png", *warm, "--seed", 6)
    assert np.array_equal(pixels("out/input_paint_seed6.png"), alone)
    assert not np.array_equal(pixels("out/input_paint_seed7.png"), alone)
    still = transfer("other", "--style", "paint", "--variants", 2, "--temperature_lambda", 0)
    assert still.exit_code == 2
    assert "draws no noise" in still.stderr
    assert transfer("other", *warm, "--variants", 2, "--num_steps", 1).exit_code == 2


def test_interpolation_is_a_sheet_from_style_to_style() -> None:
    steps = ("--interpolate", "paint,ink", "--interpolate_steps", 3)
    sheet = painted("sheet.png", *steps)
    assert sheet.shape[1] > 4 * 40
    Path("out").mkdir()
    assert transfer("out", *steps).exit_code == 0
    ends = [painted(f"{name}.png", "--style", name) for name in ("paint", "ink")]
    assert np.array_equal(pixels("out/input_paint.png"), ends[0])
    assert np.array_equal(pixels("out/input_ink.png"), ends[1])
    middle = painted("b.png", "--blend", "paint:1,ink:1")
    assert np.array_equal(pixels("out/input_paint0.5-ink0.5.png"), middle)
    assert Path("out/input_sheet.png").exists()
    over = transfer("c.png", "--interpolate", "paint,ink,photo", "--interpolate-steps", 5)
    assert over.stdout == "c.png: the source and 5 styles\n"


def test_transparency_goes_to_png_and_is_laid_on_white_in_jpeg() -> None:
    photo = Image.open("input.png")
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save("input.png")
    assert np.array_equal(painted("a.png", "--style", "paint")[..., 3], pixels("input.png")[..., 3])
    assert painted("a.jpg", "--style", "paint", "--strength", 0)[0].min() > 245


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("a.png", "Missing option '--style'"),
        ("a.png --style paint --blend ink:1", "--style and --blend exclude each other"),
        ("a.png --blend ink", "'ink' is not STYLE:WEIGHT; write vangogh:0.6,monet:0.4"),
        ("a.png --blend ink:x", "'ink:x' is not STYLE:WEIGHT"),
        ("a.png --blend ink:1,ink:2", "'ink' comes twice"),
        ("a.png --blend inc:1", "did you mean 'ink'"),
        ("a.png --blend ink:0", "one weight must be above 0"),
        ("a.png --style ink --strength 1.5", "'--strength'"),
        ("a.png --style ink --detail -1", "'--detail'"),
        ("a.png --style ink --style_scale 9", "'--style_scale'"),
        ("a.png --style ink --max_side 0", "'--max_side'"),
        ("a.png --style ink --repulsion -1", "'--repulsion'"),
        ("a.png --style ink --mask gone.png", "gone.png: no such file"),
        ("a.png --style ink --invert_mask", "--invert_mask needs --mask"),
        ("left.png --style ink --mask left.png", "left.png: is what is read, and would be lost"),
        ("left.png --style ink --detail_mask ./left.png", "is what is read, and would be lost"),
        ("left.png --region left.png:ink", "left.png: is what is read, and would be lost"),
        ("a.png --style ink --mask_feather 4", "--mask_feather needs --mask"),
        (
            "a.png --style ink --detail 0 --detail_mask left.png",
            "--detail_mask needs --detail",
        ),
        ("a.png --style ink --tile 8", "tile must be 0 (never cut) or at least 64 pixels (got 8)"),
        ("a.png --style ink --tile big", "--tile must be auto, 0 or a number of pixels"),
        ("a.png --region left.png", "not MASK:STYLE; write mask.png:vangogh"),
        ("a.png --region left.png:ink:0.5", "there is no number for how much (0.5): where"),
        ("a.png --region left.png:pant", "did you mean 'paint'"),
        ("a.png --style all --region left.png:ink", "--region takes one --style"),
        ("a.png --interpolate ink", "--interpolate needs two styles or more"),
        ("a.png --interpolate ink,paint --variants 2", "goes with neither"),
        (
            "a.png --style ink --variants 2",
            "several variants give several pictures; OUT must be a folder, such as a/",
        ),
    ],
)
def test_mistakes_are_one_message_and_write_nothing(arguments: str, text: str) -> None:
    before = sorted(Path().iterdir())
    result = transfer(*arguments.split())
    assert result.exit_code == 2
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(Path().iterdir()) == before


def test_help_names_every_option_with_its_range() -> None:
    text = " ".join(run_lgt("transfer", "--help").stdout.split())
    plain = (
        "blend",
        "strength",
        "detail",
        "color",
        "mask",
        "region",
        "repulsion",
        "tile",
        "variants",
    )
    long = ("detail_mask", "preserve_color", "invert_mask", "mask_feather", "style_scale")
    for name in (*plain, "interpolate"):
        assert f" --{name} " in text
    for name in (*long, "max_side", "interpolate_steps"):
        assert f" --{name}, --{name.replace('_', '-')} " in text
    assert "[default: 1.0; 0<=x<=1]" in text
