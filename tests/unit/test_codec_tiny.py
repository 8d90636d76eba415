"""Our tiny autoencoder is that of diffusers, number by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file

from lgt.codec import TinyCodec, load_codec
from lgt.codec.learned import fingerprint
from lgt.codec.load import EMBEDDED_FOLDER
from lgt.codec.tiny import DEFAULTS, TinyAutoencoder, load_tiny
from lgt.errors import CodecError

SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "encoder_block_out_channels": (6, 6, 6),
        "decoder_block_out_channels": (5, 5, 5),
        "num_encoder_blocks": (1, 0, 2),
        "num_decoder_blocks": (2, 1, 0),
        "latent_channels": 7,
    },
    "other functions": {
        "encoder_block_out_channels": (4, 4),
        "decoder_block_out_channels": (4, 4),
        "num_encoder_blocks": (0, 1),
        "num_decoder_blocks": (1, 1),
        "act_fn": "silu",
        "upsample_fn": "bilinear",
        "scaling_factor": 0.5,
        "shift_factor": 0.25,
    },
}


def compare(ours: TinyAutoencoder, theirs: Any, downscale: int) -> None:
    """Encode and decode agree to 1e-5, and so do names, shapes and values of the weights."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert fingerprint(ours) == fingerprint(theirs)
    images = torch.rand(2, 3, 4 * downscale, 3 * downscale) * 2 - 1
    with torch.no_grad():
        latents = theirs.encode(images).latents
        torch.testing.assert_close(ours.encoder(images), latents, atol=1e-5, rtol=0)
        decoded = theirs.decode(2 * latents).sample
        torch.testing.assert_close(ours.decoder(2 * latents), decoded, atol=1e-5, rtol=0)


def test_the_embedded_folder_is_the_same_in_both() -> None:
    torch.manual_seed(0)
    theirs = AutoencoderTiny.from_pretrained(EMBEDDED_FOLDER, torch_dtype=torch.float32)
    ours = load_tiny(EMBEDDED_FOLDER, "embedded")
    compare(ours, theirs, 8)
    wrapped = TinyCodec(theirs, name="embedded", source="embedded")
    codec = load_codec("embedded")
    assert codec.spec == wrapped.spec
    image = torch.rand(1, 3, 32, 40)
    torch.testing.assert_close(codec.encode(image), wrapped.encode(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("name", SHAPES)
def test_folders_of_diffusers_load(tmp_path: Path, name: str, suffix: str) -> None:
    torch.manual_seed(0)
    theirs = AutoencoderTiny(**SHAPES[name]).eval()
    theirs.save_pretrained(tmp_path, safe_serialization=suffix == "safetensors")
    assert [p.suffix for p in tmp_path.glob("*pytorch_model*")] == [f".{suffix}"]
    ours = load_tiny(tmp_path, "here")
    compare(ours, theirs, 2 ** (len(SHAPES[name]["num_encoder_blocks"]) - 1))
    spec = load_codec(str(tmp_path)).spec
    assert spec == TinyCodec(theirs, name=tmp_path.name, source=str(tmp_path)).spec
    assert spec.scaling_factor == SHAPES[name].get("scaling_factor", 1.0)


def test_defaults_are_those_of_diffusers() -> None:
    theirs = AutoencoderTiny().config
    assert len(DEFAULTS) == 15
    for key, value in DEFAULTS.items():
        assert theirs[key] == value, key
    assert TinyAutoencoder(stranger=1).config == DEFAULTS


def test_half_precision_weights_become_float32() -> None:
    stored = load_file(EMBEDDED_FOLDER / "diffusion_pytorch_model.safetensors")
    weights = load_tiny(EMBEDDED_FOLDER, "embedded").state_dict()
    assert len(weights) == len(stored)
    for key, value in weights.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, stored[key].float()), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"act_fn": "cosine"}, r"act_fn 'cosine' is not one of relu, silu"),
        ({"num_encoder_blocks": [1, 1]}, r"has 4 entries, num_encoder_blocks 2; they must be"),
        ({"latent_channels": 5}, r"weight has shape \[4, 64, 3, 3\], the network \[5, 64"),
        ({"num_decoder_blocks": [3, 2, 1, 9]}, r"do not fit config\.json: \d+ tensors are missing"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    config = json.loads((EMBEDDED_FOLDER / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    weights = "diffusion_pytorch_model.safetensors"
    (tmp_path / weights).write_bytes((EMBEDDED_FOLDER / weights).read_bytes())
    with pytest.raises(CodecError, match=message):
        load_codec(str(tmp_path))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderTiny"}')
    with pytest.raises(CodecError, match=r"holds no diffusion_pytorch_model\.safetensors or"):
        load_codec(str(tmp_path))
