"""The codec inside the package: its files, its latents, and what a broken one would not pass."""

from __future__ import annotations

import json
from importlib.resources import files
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from torch.nn import functional as F

from lgt.codec import LatentCodec, load_codec
from lgt.codec.load import EMBEDDED_FOLDER
from lgt.errors import CodecError, InputError
from lgt.image import open_image, resize_and_crop, to_tensor

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 3_000_000
PSNR = {"astronaut.png": 21.87, "coffee.png": 25.78, "chelsea.png": 25.59}
"""dB that TAESD reaches."""


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    return load_codec("embedded")


def photo(name: str, size: int = 256) -> torch.Tensor:
    with files("skimage.data").joinpath(name).open("rb") as stream:
        return to_tensor(resize_and_crop(open_image(BytesIO(stream.read())), size))


def test_the_files_are_small_and_name_no_machine() -> None:
    found = {path.name: path for path in EMBEDDED_FOLDER.iterdir()}
    assert {"config.json", "diffusion_pytorch_model.safetensors", "LICENSE"} <= set(found)
    assert sum(path.stat().st_size for path in found.values()) <= MAX_BYTES
    config = json.loads(found["config.json"].read_text(encoding="utf-8"))
    assert "_name_or_path" not in config
    weights = load_file(found["diffusion_pytorch_model.safetensors"])
    assert len(weights) > 20
    for key, value in weights.items():
        assert value.dtype == torch.float16, key
        assert torch.isfinite(value).all(), key


def test_diffusers_loads_the_folder(codec: LatentCodec) -> None:
    model, info = AutoencoderTiny.from_pretrained(EMBEDDED_FOLDER, output_loading_info=True)
    assert not any(info.values()), info
    image = photo("coffee.png", 64)
    with torch.no_grad():
        latents = model.encode(image * 2 - 1).latents
        decoded = (model.decode(latents).sample + 1) / 2
    torch.testing.assert_close(codec.encode(image), latents.float(), atol=2e-2, rtol=0)
    torch.testing.assert_close(codec.decode(latents), decoded.clamp(0, 1), atol=2e-2, rtol=0)


def test_the_spec_is_portable(codec: LatentCodec) -> None:
    spec = codec.spec
    assert (spec.name, spec.source) == ("embedded", "embedded")
    assert (spec.latent_channels, spec.downscale, spec.scaling_factor) == (4, 8, 1.0)
    assert str(EMBEDDED_FOLDER) not in json.dumps(spec.to_dict())
    assert load_codec(spec.source).spec == spec


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", PSNR)
def test_round_trip_of_photographs(name: str, dtype: torch.dtype) -> None:
    codec, image = load_codec("embedded", dtype=dtype), photo(name)
    latents = codec.encode(image)
    assert 0.5 < float(latents.std()) < 1.5
    error = (codec.decode(latents) - image).square().mean()
    assert float(-10 * error.log10()) > PSNR[name] - 1.5


@pytest.mark.parametrize("size", [(8, 8), (8, 104), (72, 40), (200, 136)])
def test_any_multiple_of_eight(codec: LatentCodec, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size)
    latents = codec.encode(image)
    assert latents.shape == (1, 4, size[0] // 8, size[1] // 8)
    assert codec.decode(latents).shape == image.shape
    with pytest.raises(InputError, match="multiples of 8"):
        codec.encode(torch.rand(1, 3, size[0] + 4, size[1]))


def test_plain_colours_stay(codec: LatentCodec) -> None:
    """27 colours: no more shift than TAESD (0.019 mean, 0.079 most), even, without a pattern."""
    levels = (0.1, 0.5, 0.9)
    colors = torch.tensor(list(product(levels, repeat=3)))[:, :, None, None]
    with torch.inference_mode():
        images = colors.expand(-1, -1, 64, 64)
        inside = codec.decode(codec.encode(images))[..., 16:-16, 16:-16]
    shift = (inside.mean((2, 3), keepdim=True) - colors).abs()
    assert float(shift.mean()) < 0.018
    assert float(shift.max()) < 0.085
    assert float(inside.std((2, 3)).max()) < 0.02
    phases = F.pixel_unshuffle(inside, 8).unflatten(1, (3, 64)).mean((3, 4))
    assert float((phases - phases.mean(2, keepdim=True)).abs().max()) < 0.02


def test_gradients_flow_through_the_decoder(codec: LatentCodec) -> None:
    latents = torch.randn(1, 4, 3, 2, requires_grad=True)
    codec.decode(latents).sum().backward()
    assert latents.grad is not None
    assert float(latents.grad.abs().sum()) > 0


def test_missing_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lgt.codec.load.EMBEDDED_FOLDER", tmp_path / "gone")
    with pytest.raises(CodecError, match=r"missing from the installation .*gone"):
        load_codec("embedded")
