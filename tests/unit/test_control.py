"""The controls of `LGTInference.stylize`: each does what it says, and nothing at its default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import array, distance, plain_model, smooth_picture, stylize
from toys import config, lively_network, write_model

from lgt.codec import DCTCodec, decode_latent, encode_image
from lgt.config import config_from_dict, config_to_dict
from lgt.errors import ConfigError, InputError
from lgt.image import keep_chroma, luma, soft_mask, to_pixels, to_tensor
from lgt.inference import LGTInference
from lgt.paint.controls import Controls
from lgt.paint.palette import with_photo_colors


@pytest.fixture
def lgt(tmp_path: Path) -> LGTInference:
    return plain_model(tmp_path)


# --- strength and detail -------------------------------------------------------------------------


def test_no_strength_gives_the_photo_back(lgt: LGTInference) -> None:
    photo = smooth_picture()
    for options in ({}, {"preserve_color": True}, {"style_scale": 2.0}, {"repulsion": 1.0}):
        result = stylize(lgt, photo, strength=0.0, **options)
        assert result.tobytes() == photo.tobytes()


def test_little_strength_is_close_to_the_photo(lgt: LGTInference) -> None:
    photo = smooth_picture()
    plain = {"preserve_color": True}, {"style_scale": 2.0}, {"detail": 1.0}, {"color": 1.0}
    for options in ({}, *plain):
        result = stylize(lgt, photo, strength=1e-4, **options)
        assert np.abs(array(result) - array(photo)).max() <= 1, options


def test_the_distance_grows_with_the_strength(lgt: LGTInference) -> None:
    photo = smooth_picture()
    found = [distance(stylize(lgt, photo, strength=s / 5), photo) for s in range(6)]
    assert all(b > a + 0.2 for a, b in zip(found, found[1:], strict=False)), found


def test_full_strength_is_the_plain_result(lgt: LGTInference) -> None:
    photo = smooth_picture()
    assert stylize(lgt, photo, strength=1.0).tobytes() == stylize(lgt, photo).tobytes()


def test_detail_adds_the_brightness_that_the_codec_loses(lgt: LGTInference) -> None:
    photo = smooth_picture(40, 32)  # Multiples of 8.
    codec, pixels = DCTCodec(4), to_tensor(photo)
    lost = pixels - decode_latent(codec, encode_image(codec, pixels))
    plain = to_tensor(stylize(lgt, photo))
    is_inside = (plain > 0.2) & (plain < 0.8)
    for share in (0.5, 1.0):
        added = to_tensor(stylize(lgt, photo, detail=share)) - plain
        near = share * luma(lost).expand_as(lost)
        chosen = is_inside & (near.abs() < 0.19)
        assert int(chosen.sum()) > 500
        torch.testing.assert_close(added[chosen], near[chosen], atol=1.01 / 255, rtol=0)


def test_detail_is_what_the_configuration_says_unless_given(
    lgt: LGTInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = smooth_picture(40, 32)
    asked = array(stylize(lgt, photo, detail=0.7))
    values = config_to_dict(lgt.config)
    values["inference"]["detail"] = 0.7
    monkeypatch.setattr(lgt, "config", config_from_dict(values))
    np.testing.assert_array_equal(array(stylize(lgt, photo)), asked)
    assert (array(stylize(lgt, photo, detail=0.0)) != asked).any()


def test_the_photos_broad_colours_come_back(lgt: LGTInference) -> None:
    """By the share that is asked for, else the model's; its luma and strokes are the painting's."""
    photo = smooth_picture(96, 64)
    plain = stylize(lgt, photo)
    expected = with_photo_colors(to_pixels(plain), to_pixels(photo), 0.6)
    found = stylize(lgt, photo, color=0.6)
    difference = array(found) - 255 * expected[0].transpose(1, 2, 0)
    assert np.abs(difference).max() <= 1.5, "both are rounded to levels"
    assert np.abs(array(found) - array(plain)).max() > 5
    values = config_to_dict(lgt.config)
    values["inference"]["color"] = 0.6
    lgt.config = config_from_dict(values)
    assert stylize(lgt, photo).tobytes() == found.tobytes()
    assert stylize(lgt, photo, color=0.0).tobytes() == plain.tobytes()


def test_detail_keeps_to_its_mask(lgt: LGTInference) -> None:
    photo = smooth_picture(40, 32)
    mask = Image.new("L", (40, 32))
    mask.paste(255, (0, 0, 20, 32))
    plain, full = array(stylize(lgt, photo)), array(stylize(lgt, photo, detail=1.0))
    part = array(stylize(lgt, photo, detail=1.0, detail_mask=mask))
    assert np.array_equal(part[:, :20], full[:, :20])
    assert np.array_equal(part[:, 20:], plain[:, 20:])
    assert not np.array_equal(full, plain)


# --- colour --------------------------------------------------------------------------------------


def test_kept_colors_are_the_photos_and_luma_the_paintings(lgt: LGTInference) -> None:
    photo = smooth_picture()
    plain, kept = stylize(lgt, photo), stylize(lgt, photo, preserve_color=True)
    y = [luma(to_tensor(image)) for image in (plain, kept)]
    assert float((y[0] - y[1]).abs().max()) < 1.1 / 255
    chroma = [to_tensor(image) - luma(to_tensor(image)) for image in (photo, plain, kept)]
    assert (chroma[2] - chroma[0]).abs().mean() < 0.5 * (chroma[1] - chroma[0]).abs().mean()


def test_chroma_stays_inside_the_gamut_with_luma_and_hue() -> None:
    result, photo = np.random.default_rng(0).random((2, 1, 3, 64, 64), np.float32)
    out = keep_chroma(result, photo)
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6
    np.testing.assert_allclose(luma(out), luma(result), atol=1e-5, rtol=0)
    offset, wanted = out - luma(out), photo - luma(photo)
    ratio = (offset * wanted).sum(1) / np.square(wanted).sum(1)
    np.testing.assert_allclose(offset, ratio[:, None] * wanted, atol=1e-4, rtol=0)
    assert 0.1 < (ratio > 0.999).mean() < 0.9
    assert np.array_equal((keep_chroma(photo, photo) * 255).round(), (photo * 255).round())
    black = np.zeros_like(photo)
    assert np.array_equal(keep_chroma(black, photo), black)


# --- blends --------------------------------------------------------------------------------------


def test_a_blend_of_one_is_that_style(lgt: LGTInference) -> None:
    x_src = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = lgt.transfer_style(x_src, None, "paint")
    for blend in ({"paint": 1}, {"paint": 0.3}, {1: 2.0, "ink": 0}, {"paint": 0.2, 1: 0.5}):
        assert torch.equal(lgt.transfer_style(x_src, None, blend), plain), blend


def test_a_blend_lies_between_its_styles(lgt: LGTInference) -> None:
    photo = smooth_picture()
    ends = [stylize(lgt, photo, style) for style in ("paint", "ink")]
    blends = [stylize(lgt, photo, {"paint": 1 - w, "ink": w}) for w in (0.25, 0.75)]
    assert 0 < distance(blends[0], ends[0]) < distance(blends[1], ends[0])
    assert 0 < distance(blends[1], ends[1]) < distance(blends[0], ends[1])
    assert stylize(lgt, photo, {"paint": 3, "ink": 1}).tobytes() == blends[0].tobytes()


@pytest.mark.parametrize(
    ("blend", "text"),
    [
        ({"pant": 1.0}, "did you mean 'paint'"),
        ({"paint": -0.5, "ink": 1}, r"weight of paint must be at least 0 \(got -0.5\)"),
        ({"paint": float("nan")}, "weight of paint must be at least 0"),
        ({"paint": 0.0}, "one weight must be above 0"),
        ({}, "one weight must be above 0"),
    ],
)
def test_wrong_blends_are_refused(lgt: LGTInference, blend: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        stylize(lgt, smooth_picture(), blend)


# --- masks ---------------------------------------------------------------------------------------


def test_a_mask_says_where(lgt: LGTInference) -> None:
    photo = smooth_picture(40, 32)
    full, mask = stylize(lgt, photo), Image.new("L", (40, 32))
    mask.paste(255, (0, 0, 16, 32))
    mask.paste(128, (16, 0, 24, 32))
    result = array(stylize(lgt, photo, mask=mask))
    assert np.array_equal(result[:, :16], array(full)[:, :16])
    assert np.array_equal(result[:, 24:], array(photo)[:, 24:])
    grey = array(photo) + 128 / 255 * (array(full) - array(photo))
    assert np.abs(result - grey)[:, 16:24].max() <= 1
    assert not np.array_equal(array(full)[:, 24:], array(photo)[:, 24:])


def test_a_mask_is_stretched_inverted_and_softened() -> None:
    small = Image.new("RGB", (2, 1))
    small.putpixel((0, 0), (255, 255, 255))
    mask = array(soft_mask(small, (100, 20)))
    assert mask.shape == (20, 100)
    assert mask[:, 0].min() == 255
    assert mask[:, -1].max() == 0
    assert np.array_equal(array(soft_mask(small, (100, 20), invert=True)), 255 - mask)
    hard = Image.new("L", (100, 20))
    hard.paste(255, (0, 0, 50, 20))
    soft = array(soft_mask(hard, (100, 20), feather=8.0))[10]
    assert soft[0] == 255
    assert soft[-1] == 0
    # A Gaussian of deviation 8 reaches 84 % and 16 % at a distance of 8.
    assert soft[41] == pytest.approx(0.84 * 255, abs=12)
    assert soft[58] == pytest.approx(0.16 * 255, abs=12)
    with pytest.raises(InputError, match=r"mask_feather must be at least 0 pixels \(got -1\)"):
        soft_mask(hard, (100, 20), feather=-1)


# --- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.5, 1.7, 3.0, 8.0])
def test_the_size_of_strokes_keeps_the_size_of_the_picture(lgt: LGTInference, scale: float) -> None:
    photo = smooth_picture(41, 67)
    result = stylize(lgt, photo, style_scale=scale)
    assert result.size == photo.size
    assert distance(result, stylize(lgt, photo)) > 1


def test_max_side_shrinks_first(lgt: LGTInference) -> None:
    photo = smooth_picture(80, 50)
    assert stylize(lgt, photo, max_side=40).size == (40, 25)
    assert stylize(lgt, photo, max_side=40, strength=0.0).size == (40, 25)
    assert stylize(lgt, photo, max_side=80).tobytes() == stylize(lgt, photo).tobytes()
    small = photo.resize((40, 25), Image.Resampling.LANCZOS)
    assert stylize(lgt, photo, max_side=40).tobytes() == stylize(lgt, small).tobytes()


# --- repulsion -----------------------------------------------------------------------------------


def test_repulsion_is_the_documented_formula(lgt: LGTInference) -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    style, own = (lgt.transfer_style(x, 0, name, 1) - x for name in ("paint", "photo"))
    for r in (0.5, 2.0):
        pushed = lgt.transfer_style(x, 0, "paint", 1, repulsion=r) - x
        torch.testing.assert_close(pushed, style + r * (style - own), atol=1e-4, rtol=1e-4)


def test_repulsion_costs_one_evaluation_more(lgt: LGTInference) -> None:
    calls: list[int] = []
    lgt.network.conv_in.register_forward_hook(lambda *_: calls.append(1))
    for repulsion, count in ((0.0, 4), (1.0, 8)):
        calls.clear()
        stylize(lgt, smooth_picture(), repulsion=repulsion)
        assert len(calls) == count


def test_repulsion_needs_something_to_move_away_from(tmp_path: Path) -> None:
    settings = config(data__style_subdirs=["a", "b"])
    lgt = LGTInference(write_model(tmp_path / "model.pt", settings), "cpu")
    with pytest.raises(InputError, match=r"no style 'photo'.*give source_style"):
        stylize(lgt, smooth_picture(), "b", repulsion=1.0)
    assert stylize(lgt, smooth_picture(), "b", repulsion=1.0, source_style="a").size == (41, 30)


# --- modes, progress, ranges ---------------------------------------------------------------------


def test_alpha_is_kept(lgt: LGTInference) -> None:
    photo = smooth_picture(40, 32)
    alpha = Image.linear_gradient("L").resize(photo.size)
    clear = photo.copy()
    clear.putalpha(alpha)
    result = stylize(lgt, clear)
    assert result.mode == "RGBA"
    assert result.getchannel("A").tobytes() == alpha.tobytes()
    assert stylize(lgt, clear, strength=0.0).tobytes() == clear.tobytes()
    white = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), clear).convert("RGB")
    on_white = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), result).convert("RGB")
    opaque = array(alpha) > 250
    assert np.abs(array(on_white) - array(stylize(lgt, white)))[opaque].max() <= 8


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "1"])
def test_other_modes(lgt: LGTInference, mode: str) -> None:
    result = stylize(lgt, smooth_picture().convert(mode))
    assert (result.size, result.mode) == ((41, 30), "RGBA" if mode == "LA" else "RGB")


def test_orientation_is_applied(lgt: LGTInference) -> None:
    photo = smooth_picture(41, 30)
    photo.getexif()[0x0112] = 6
    assert stylize(lgt, photo).size == (30, 41)
    assert stylize(lgt, photo, strength=0.0).size == (30, 41)


def test_progress_rises_to_one_and_can_stop(lgt: LGTInference) -> None:
    fractions: list[float] = []
    options = {"strength": 0.5, "repulsion": 1.0, "tile": 64}
    stylize(lgt, smooth_picture(150, 70), progress=fractions.append, **options)
    assert len(fractions) > 15
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)

    def stop(fraction: float) -> None:
        if fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(lgt, smooth_picture(), progress=stop)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"strength": 1.1}, r"strength must be 0 to 1 \(got 1.1\)"),
        ({"strength": float("nan")}, "strength must be 0 to 1"),
        ({"detail": -0.1}, r"detail must be 0 to 1 \(got -0.1\)"),
        ({"color": 1.5}, r"color must be 0 to 1 \(got 1.5\)"),
        ({"style_scale": 0.0}, r"style_scale must be 0.25 to 8 \(got 0.0\)"),
        ({"max_side": 0}, r"max_side must be at least 1 pixel \(got 0\)"),
        ({"repulsion": -1.0}, r"repulsion must be at least 0 \(got -1.0\)"),
        ({"tile": 8}, r"tile must be 0 \(never cut\) or at least 64 pixels \(got 8\)"),
    ],
)
def test_ranges(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Controls(**options)


def test_a_still_network_changes_nothing(tmp_path: Path) -> None:
    settings = config(model__latent_channels=192, inference__temperature_lambda=0.0)
    still = lively_network(settings, gain=0.0)
    torch.nn.init.zeros_(still.conv_out.bias)
    path = write_model(tmp_path / "still.pt", settings, network=still.state_dict())
    lgt, photo = LGTInference(path, "cpu"), smooth_picture()
    for options in ({"strength": 0.5}, {"detail": 1.0}, {"preserve_color": True}):
        result = lgt.stylize(photo, 1, codec=DCTCodec(192), **options)
        assert np.abs(array(result) - array(photo)).max() <= 1, options


# --- arguments of other types --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"style": 1.5}, "a style is a name, an id, or a blend"),
        ({"style": True}, "a style is a name, an id, or a blend"),
        ({"style": ["paint"]}, "a style is a name, an id, or a blend"),
        ({"strength": "1"}, "strength must be a number (got '1')"),
        ({"strength": True}, "strength must be a number"),
        ({"max_side": 50.5}, "max_side must be a whole number"),
        ({"canvas": "auto"}, "canvas must be a whole number"),
    ],
)
def test_arguments_of_other_types_are_refused_in_a_sentence(
    options: dict[str, Any], text: str, lgt: LGTInference
) -> None:
    with pytest.raises(InputError) as caught:
        stylize(lgt, smooth_picture(), **{"style": "paint", **options})
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["image", "mask", "detail_mask"])
@pytest.mark.parametrize("given", ["photo.jpg", Path("photo.jpg"), np.zeros((8, 8, 3), np.uint8)])
def test_what_is_no_picture_is_refused(name: str, given: Any, lgt: LGTInference) -> None:
    options = {"image": smooth_picture(), name: given}
    with pytest.raises(InputError, match=rf"^{name} must be a picture of Pillow"):
        stylize(lgt, **options)


@pytest.mark.parametrize(
    ("latents", "seen"),
    [
        (torch.zeros(0, 4, 8, 8), r"\[0, 4, 8, 8\]"),
        (torch.zeros(1, 4, 0, 0), r"\[1, 4, 0, 0\]"),
        (np.zeros((1, 4, 8, 8), np.float32), "ndarray"),
    ],
)
def test_what_are_no_latents_is_refused(latents: Any, seen: str, lgt: LGTInference) -> None:
    with pytest.raises(InputError, match=f"got {seen}"):
        lgt.transfer_style(latents, None, "paint")


def test_numbers_of_numpy_are_numbers(lgt: LGTInference) -> None:
    photo = smooth_picture()
    plain = stylize(lgt, photo, 1, strength=0.5, max_side=24)
    numbers = {"strength": np.float32(0.5), "max_side": np.int64(24)}
    assert stylize(lgt, photo, np.int64(1), **numbers).tobytes() == plain.tobytes()


@pytest.mark.parametrize("count", [1.5, "5", True])
def test_steps_are_whole(count: Any, tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="num_steps: must be"):
        LGTInference(path, "cpu", num_steps=count)
