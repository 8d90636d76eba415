"""Codecs of other latents than the model's are refused, those of the same family taken."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lgt.codec import CodecSpec, DCTCodec, load_codec
from lgt.codec.family import DCT, FLUX, SD, SD3, SDXL, check_family, family_of
from lgt.codec.load import EMBEDDED_FOLDER
from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.paint.torch_engine import TorchEngine

WEIGHTS = "diffusion_pytorch_model.safetensors"


def spec(name: str, channels: int = 4, scale: float = 1.0) -> CodecSpec:
    return CodecSpec(name, name, channels, scaling_factor=scale, fingerprint=name)


def changed_codec(folder: Path, *, noise: float, share: float = 1.0) -> str:
    """Write the embedded codec with `share` of its weights and some noise."""
    folder.mkdir()
    shutil.copy(EMBEDDED_FOLDER / "config.json", folder)
    torch.manual_seed(0)
    weights = {
        key: (share * w.float() + noise * w.float().abs().mean() * torch.randn(w.shape)).to(w.dtype)
        for key, w in load_file(EMBEDDED_FOLDER / WEIGHTS).items()
    }
    save_file({key: w.contiguous() for key, w in weights.items()}, folder / WEIGHTS)
    return str(folder)


@pytest.mark.parametrize(
    ("found", "family"),
    [
        (spec("dct:4"), DCT),
        (spec("embedded"), SD),
        (spec("madebyollin/taesd"), SD),
        (spec("stabilityai/sd-vae-ft-mse", scale=0.18215), SD),
        (spec("vae", scale=0.13025), SDXL),
        (spec("madebyollin/taesdxl"), SDXL),
        (spec("sdxl-vae", scale=0.18215), SDXL),
        (spec("madebyollin/taesd3", 16), SD3),
        (spec("vae", 16, 0.3611), FLUX),
        (spec("my-codec"), None),
        (spec("my-codec", 16), None),
    ],
)
def test_families_by_numbers_and_names(found: CodecSpec, family: str | None) -> None:
    assert family_of(found) == family


def test_another_family_is_refused_everywhere(tmp_path: Path) -> None:
    lgt = LGTInference(device="cpu")
    message = "codec dct:4 has latents of the DCT, .* those of Stable Diffusion .* --codec embedded"
    for source in ("dct", "dct:4"):
        with pytest.raises(InputError, match=message):
            lgt.load_codec(source)
    codec, photo = DCTCodec(4), Image.new("RGB", (16, 16))
    with pytest.raises(InputError, match=message):
        lgt.stylize(photo, "monet", codec=codec)
    with pytest.raises(InputError, match=message):
        TorchEngine(lgt, codec)
    xl = changed_codec(tmp_path / "taesdxl", noise=0.01)
    with pytest.raises(InputError, match="latents of Stable Diffusion XL"):
        lgt.load_codec(xl)
    assert lgt.load_codec().spec == lgt.codec_spec


def test_a_probe_tells_what_names_do_not(tmp_path: Path) -> None:
    lgt = LGTInference(device="cpu")
    near = changed_codec(tmp_path / "near", noise=0.1)
    assert lgt.load_codec(near).spec.name == "near"
    other = changed_codec(tmp_path / "other", noise=1.0, share=0.0)
    with pytest.raises(InputError, match=r"other gives other latents than embedded.*correlation"):
        lgt.load_codec(other)


def test_what_can_not_be_compared_is_taken() -> None:
    trained = replace(spec("gone"), source="/no/such/folder")
    check_family(load_codec("embedded"), trained)
    with pytest.raises(InputError, match="latents of the DCT"):
        check_family(DCTCodec(4), trained)
