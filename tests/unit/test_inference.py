"""`LGTInference`: seeds, styles, sizes, formats, and what it refuses."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import config, fields, lively_network, write_model

from lgt.codec import DCTCodec, decode_latent, encode_image
from lgt.errors import CheckpointError, ConfigError, InputError, LGTWarning
from lgt.image import to_tensor
from lgt.inference import LGTInference

WARM = {"inference.temperature_lambda": 0.5}


@pytest.fixture
def x_src() -> torch.Tensor:
    return fields(2, 4, 8)[:3]


def model(tmp_path: Path, *changes: dict[str, Any], **arguments: Any) -> LGTInference:
    path = write_model(tmp_path / "model.pt", config(*changes))
    return LGTInference(path, "cpu", **arguments)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


# --- randomness ----------------------------------------------------------------------------------


def test_same_seed_same_result(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, WARM)
    torch.manual_seed(1)
    first = lgt.transfer_style(x_src, 0, 1, seed=3)
    torch.manual_seed(2)
    assert torch.equal(lgt.transfer_style(x_src, 0, 1, seed=3), first)
    assert difference(lgt.transfer_style(x_src, 0, 1, seed=4), first) > 0.05


def test_no_seed_draws_anew(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, WARM)
    outputs = [lgt.transfer_style(x_src, 0, 1) for _ in range(2)]
    assert difference(*outputs) > 0.05


def test_without_temperature_nothing_is_drawn(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, temperature_lambda=0.0)
    outputs = [lgt.transfer_style(x_src, 0, 1) for _ in range(2)]
    assert torch.equal(*outputs)


def test_threshold_at_one_is_no_temperature(tmp_path: Path, x_src: torch.Tensor) -> None:
    outputs = [
        model(tmp_path, changes).transfer_style(x_src, 0, 1, seed=0)
        for changes in (
            {**WARM, "inference.temperature_threshold": 1.0},
            {"inference.temperature_lambda": 0.0},
            WARM,
        )
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert difference(outputs[1], outputs[2]) > 0.05


def test_late_noise_has_the_documented_strength(tmp_path: Path) -> None:
    settings = config(
        WARM,
        inference__temperature_threshold=0.75,
        inference__num_steps=8,
        inference__use_cfg=False,
    )
    network = lively_network(settings, gain=0.0)
    lgt = LGTInference(
        write_model(tmp_path / "a.pt", settings, network=network.state_dict()), "cpu"
    )
    noise = lgt.transfer_style(torch.zeros(8, 4, 32, 32), 0, 1, seed=0)
    noise -= noise.mean(dim=(0, 2, 3), keepdim=True)
    # Steps start at 6/8 and 7/8; the last one adds no noise, so one kick of variance 0.5**2 / 8.
    assert float(noise.std()) == pytest.approx(0.5 * (1 / 8) ** 0.5, rel=0.02)


def test_a_baseline_is_deterministic_and_starts_at_the_source(
    tmp_path: Path, x_src: torch.Tensor
) -> None:
    settings = {**WARM, "training.objective": "ot_cfm", "training.start": "noise"}
    lgt = model(tmp_path, settings)
    outputs = [lgt.transfer_style(x_src, 0, 1) for _ in range(2)]
    assert torch.equal(*outputs)
    still = lively_network(config(settings), gain=0.0)
    torch.nn.init.zeros_(still.conv_out.bias)
    path = write_model(tmp_path / "b.pt", config(settings), network=still.state_dict())
    assert torch.equal(LGTInference(path, "cpu").transfer_style(x_src, 0, 1), x_src)


def test_noise_starts_need_no_temperature_to_differ(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, {"training.start": "noise"}, temperature_lambda=0.0)
    outputs = [lgt.transfer_style(x_src, 0, 1, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert difference(outputs[1], outputs[2]) > 0.5


# --- styles --------------------------------------------------------------------------------------


def test_a_mixed_batch_equals_single_calls(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, temperature_lambda=0.0)
    together = lgt.transfer_style(x_src, 0, [1, "photo", "paint"])
    for row, style in enumerate((1, 0, 1)):
        alone = lgt.transfer_style(x_src[row : row + 1], 0, style)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)
    assert difference(together[:1], lgt.transfer_style(x_src[:1], 0, 0)) > 0.01


def test_styles_go_by_name_or_id(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path)
    assert [lgt.style_id(style) for style in ("photo", "paint", 0, 1, "0", "1")] == [0, 1] * 3
    assert lgt.num_styles == 2
    assert torch.equal(
        lgt.transfer_style(x_src, "photo", "paint", seed=0),
        lgt.transfer_style(x_src, 0, 1, seed=0),
    )


def test_the_source_style_may_be_unknown(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, temperature_lambda=0.0)
    unknown = lgt.transfer_style(x_src, target_style_id=1)
    assert difference(unknown, lgt.transfer_style(x_src, 0, 1)) > 1e-4


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (2, r"style id 2: must be 0 to 1 \(styles: 0 photo, 1 paint\)"),
        (-1, r"style id -1: must be 0 to 1"),
        ("7", r"style id 7: must be 0 to 1"),
        ("pant", r"unknown style 'pant'; did you mean 'paint'\? \(styles: 0 photo, 1 paint\)"),
        ("zebra", r"unknown style 'zebra' \(styles"),
        ("--1", "unknown style '--1'"),
        ("²", "unknown style '²'"),
        ("", "unknown style ''"),
    ],
)
def test_wrong_styles_are_refused(
    tmp_path: Path, x_src: torch.Tensor, style: int | str, text: str
) -> None:
    lgt = model(tmp_path)
    with pytest.raises(InputError, match=text):
        lgt.transfer_style(x_src, 0, style)
    with pytest.raises(InputError, match=text):
        lgt.transfer_style(x_src, style, 1)
    with pytest.raises(InputError, match=text):
        lgt.transfer_style(x_src, 0, [0, 1, style])


def test_as_many_styles_as_latents(tmp_path: Path, x_src: torch.Tensor) -> None:
    with pytest.raises(InputError, match="2 target styles for 3 latents; give one or 3"):
        model(tmp_path).transfer_style(x_src, 0, [0, 1])


# --- latents and steps ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 8, 8), (1, 16, 8, 8)])
def test_wrong_channels_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"\[B, 4, h, w\].*4 channels; got .*{shape[-1]}\]"):
        model(tmp_path).transfer_style(torch.zeros(shape), 0, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_must_be_finite(tmp_path: Path, x_src: torch.Tensor, value: float) -> None:
    x_src[1, 2, 3, 4] = value
    with pytest.raises(InputError, match="not finite"):
        model(tmp_path).transfer_style(x_src, 0, 1)


def test_steps_must_be_positive(tmp_path: Path, x_src: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"num_steps must be at least 1 \(got 0\)"):
        model(tmp_path).transfer_style(x_src, 0, 1, num_steps=0)
    with pytest.raises(ConfigError, match=r"inference\.num_steps: must be at least 1 \(got 0\)"):
        model(tmp_path, num_steps=0)
    with pytest.raises(ConfigError, match=r"cfg_scale(?s:.*)|temperature_lambda"):
        model(tmp_path, cfg_scale=-1.0, temperature_lambda=-0.1)


def test_steps_of_the_call_win_over_those_of_the_model(tmp_path: Path, x_src: torch.Tensor) -> None:
    lgt = model(tmp_path, num_steps=6, use_cfg=False)
    calls: list[int] = []
    lgt.network.conv_in.register_forward_hook(lambda *_: calls.append(1))
    lgt.transfer_style(x_src, 0, 1)
    lgt.transfer_style(x_src, 0, 1, num_steps=2)
    assert len(calls) == 6 + 2


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (5, 24)])
def test_any_latent_size(tmp_path: Path, size: tuple[int, int]) -> None:
    source = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
    kept = source.clone()
    result = model(tmp_path).transfer_style(source, 0, 1, seed=0)
    assert result.shape == source.shape
    assert bool(torch.isfinite(result).all())
    assert torch.equal(source, kept), "the source is left as it was"


def test_guidance_off_is_scale_one(tmp_path: Path, x_src: torch.Tensor) -> None:
    outputs = [
        model(tmp_path, temperature_lambda=0.0, **arguments).transfer_style(x_src, 0, 1)
        for arguments in ({"use_cfg": False}, {"cfg_scale": 1.0}, {"cfg_scale": 4.0})
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert difference(outputs[1], outputs[2]) > 0.01


def test_bf16_is_close_to_fp32(tmp_path: Path, x_src: torch.Tensor) -> None:
    full, reduced = (
        model(tmp_path, temperature_lambda=0.0, precision=name).transfer_style(x_src, 0, 1)
        for name in ("fp32", "bf16")
    )
    assert reduced.dtype == torch.float32
    change = float((full - x_src).abs().mean())
    assert 0 < float((full - reduced).abs().mean()) < 0.05 * change
    with pytest.raises(InputError, match="'fp8' is not supported; use fp32 or bf16"):
        model(tmp_path, precision="fp8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_absent_gpu_is_said_and_the_cpu_taken(tmp_path: Path) -> None:
    """A documented script says `cuda`; commands refuse (test_cli_files)."""
    path = write_model(tmp_path / "model.pt")
    with pytest.warns(LGTWarning, match="'cuda' was asked for, but no CUDA .* runs on the CPU"):
        model = LGTInference(model_path=path, device="cuda", num_steps=2)
    assert model.device.type == "cpu"
    with pytest.raises(InputError, match="'gpu' is not a device"):
        LGTInference(model_path=path, device="gpu")


# --- checkpoints ---------------------------------------------------------------------------------


def test_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*train one with `lgt train`"):
        LGTInference(tmp_path / "epoch_0100.pt")


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    other = lively_network(config(model__base_channels=16)).state_dict()
    with pytest.raises(CheckpointError, match="weights do not fit"):
        LGTInference(write_model(tmp_path / "model.pt", network=other), "cpu")


def test_a_replaced_configuration_keeps_the_model(tmp_path: Path, x_src: torch.Tensor) -> None:
    path = write_model(tmp_path / "model.pt")
    lgt = LGTInference(path, "cpu", config=config(inference__num_steps=9))
    assert lgt.config.inference.num_steps == 9
    with pytest.raises(CheckpointError, match=r"`model` section differs(?s:.*)base_channels=16"):
        LGTInference(path, "cpu", config=config(model__base_channels=16))


def test_averaged_weights_are_used(tmp_path: Path, x_src: torch.Tensor) -> None:
    plain = model(tmp_path).transfer_style(x_src, 0, 1, seed=0)
    ema = lively_network(config(), gain=60.0).state_dict()
    path = write_model(tmp_path / "averaged.pt", ema=ema)
    assert difference(LGTInference(path, "cpu").transfer_style(x_src, 0, 1, seed=0), plain) > 0.01


# --- pictures ------------------------------------------------------------------------------------


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(37, 53), (64, 48), (1, 1), (7, 129)])
def test_pictures_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    lgt = model(tmp_path)
    result = lgt.stylize(picture(*size), "paint", codec=lgt.load_codec(), seed=0)
    assert (result.size, result.mode) == (size, "RGB")


def test_padding_does_not_shift_the_picture(tmp_path: Path) -> None:
    settings = config(model__latent_channels=192, inference__temperature_lambda=0.0)
    still = lively_network(settings, gain=0.0)
    torch.nn.init.zeros_(still.conv_out.bias)
    path = write_model(tmp_path / "still.pt", settings, network=still.state_dict())
    lgt = LGTInference(path, "cpu")
    source = picture(37, 53)  # A lossless codec and a network that does nothing: the same pixels.
    result = lgt.stylize(source, 1, codec=lgt.load_codec())
    assert np.abs(np.asarray(result, dtype=int) - np.asarray(source, dtype=int)).max() <= 1


def test_a_picture_equals_its_parts(tmp_path: Path) -> None:
    lgt = model(tmp_path)
    codec = lgt.load_codec()
    image = picture(32, 24)
    latents = encode_image(codec, to_tensor(image))
    by_hand = decode_latent(codec, lgt.transfer_style(latents, "photo", 1, seed=5))
    result = lgt.stylize(image, 1, codec=codec, source_style="photo", seed=5)
    torch.testing.assert_close(to_tensor(result), by_hand, atol=0.51 / 255, rtol=0)


def test_the_models_codec_is_found_again_and_another_is_refused(tmp_path: Path) -> None:
    lgt = model(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lgt.load_codec().spec == DCTCodec(4).spec
    with pytest.raises(InputError, match=r"dct:16 .*16 channels.*dct:4 .*use --codec dct:4"):
        lgt.load_codec("dct:16")
