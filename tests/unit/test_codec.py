"""Codecs: the numbers of the specs, the adapters over tiny stand-in models, every message."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

from lgt.codec import (
    CodecSourceError,
    CodecSpec,
    DCTCodec,
    DiffusersKLCodec,
    DiffusersTinyCodec,
    LatentCodec,
    decode_latent,
    encode_image,
    load_codec,
    load_vae,
    resolve_device,
    scale_latents,
    unscale_latents,
)
from lgt.device import resolve_dtype
from lgt.errors import CodecError, InputError, LGTWarning

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = ("DownEncoderBlock2D", "UpDecoderBlock2D")


def tiny_kl(channels: int = 4, **options: Any) -> AutoencoderKL:
    """An AutoencoderKL with 4 levels (downscale 8) and random weights."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=(BLOCKS[0],) * 4,
        up_block_types=(BLOCKS[1],) * 4,
        block_out_channels=(4, 4, 8, 8),
        latent_channels=channels,
        norm_num_groups=2,
        **options,
    )


def tiny_taesd(channels: int = 4) -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(6,) * 4,
        decoder_block_out_channels=(5,) * 4,
        num_encoder_blocks=(1, 2, 1, 1),
        num_decoder_blocks=(1, 1, 2, 1),
    )


def save_original(model: AutoencoderTiny, folder: Path, variant: str = "taesd") -> None:
    """Write the two files of TAESD's own release: no prefix, decoder layers counted from 1."""
    folder.mkdir(exist_ok=True)
    encoder, decoder = {}, {}
    for key, value in model.state_dict().items():
        part, _, rest = key.partition(".layers.")
        index, _, tail = rest.partition(".")
        if part == "encoder":
            encoder[rest] = value
        else:
            decoder[f"{int(index) + 1}.{tail}"] = value
    save_file(encoder, folder / f"{variant}_encoder.safetensors")
    save_file(decoder, folder / f"{variant}_decoder.safetensors")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def test_kl_uses_the_posterior_mean_and_the_config(tmp_path: Path, images: torch.Tensor) -> None:
    model = tiny_kl(scaling_factor=0.18215)
    model.save_pretrained(tmp_path / "vae")
    codec = load_codec(str(tmp_path / "vae"))
    assert isinstance(codec, DiffusersKLCodec)
    assert isinstance(codec, LatentCodec)
    assert (codec.spec.latent_channels, codec.spec.downscale) == (4, 8)
    assert (codec.spec.scaling_factor, codec.spec.shift_factor) == (0.18215, 0.0)
    raw = codec.encode(images)
    with torch.no_grad():
        expected = model.encode(images * 2 - 1).latent_dist.mean
        decoded = (model.decode(expected).sample / 2 + 0.5).clamp(0, 1)
    assert raw.shape == (2, 4, 4, 6)
    assert raw.dtype == torch.float32
    torch.testing.assert_close(raw, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codec.decode(raw), decoded, rtol=1e-4, atol=1e-4)
    assert torch.equal(codec.encode(images), raw)  # never a sample


def test_kl_with_16_channels_and_a_shift(tmp_path: Path, images: torch.Tensor) -> None:
    tiny_kl(16, scaling_factor=1.5305, shift_factor=0.0609).save_pretrained(tmp_path / "vae")
    codec = load_codec(str(tmp_path))  # a pipeline's folder, the codec in vae/
    assert codec.spec.name == tmp_path.name
    assert (codec.spec.scaling_factor, codec.spec.shift_factor) == (1.5305, 0.0609)
    scaled = encode_image(codec, images, "cpu")
    assert scaled.shape == (2, 16, 4, 6)
    torch.testing.assert_close(scaled, (codec.encode(images) - 0.0609) * 1.5305)
    torch.testing.assert_close(
        decode_latent(codec, scaled, "cpu"), codec.decode(codec.encode(images)), atol=1e-4, rtol=0
    )


def test_kl_with_the_old_names_of_attention_weights(tmp_path: Path, images: torch.Tensor) -> None:
    tiny_kl().save_pretrained(tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    path = tmp_path / "old" / "diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in load_file(path).items():
        for new, old in names.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[key] = value
    assert any("proj_attn" in key for key in state)
    save_file(state, path)
    old, new = load_codec(str(tmp_path / "old")), load_codec(str(tmp_path / "new"))
    assert old.spec.fingerprint == new.spec.fingerprint
    torch.testing.assert_close(old.encode(images), new.encode(images))


def test_tiny_from_a_diffusers_folder(tmp_path: Path, images: torch.Tensor) -> None:
    model = tiny_taesd()
    model.save_pretrained(tmp_path / "tiny")
    codec = load_vae("cpu", str(tmp_path / "tiny"))
    assert isinstance(codec, DiffusersTinyCodec)
    assert codec.spec.scaling_factor == 1.0
    with torch.no_grad():
        expected = model.encode(images * 2 - 1).latents
        decoded = (model.decode(expected).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(codec.encode(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codec.decode(expected), decoded, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [4, 16])
def test_taesd_in_its_original_layout(tmp_path: Path, images: torch.Tensor, channels: int) -> None:
    model = tiny_taesd(channels)
    model.save_pretrained(tmp_path / "diffusers")
    save_original(model, tmp_path / "original")
    ours = load_codec(str(tmp_path / "original"))
    reference = load_codec(str(tmp_path / "diffusers"))
    assert ours.spec.name == "taesd"
    assert ours.spec.latent_channels == channels
    assert ours.spec.is_compatible(reference.spec)
    assert torch.equal(ours.encode(images), reference.encode(images))
    assert torch.equal(ours.decode(ours.encode(images)), reference.decode(ours.encode(images)))
    assert load_codec(f"taesd:{tmp_path / 'original'}").spec.is_compatible(ours.spec)


def test_taesd_with_the_size_of_the_release_and_pickled_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoencoderTiny()
    save_original(model.bfloat16(), tmp_path)
    for path in list(tmp_path.iterdir()):
        torch.save(load_file(path), path.with_suffix(".pth"))
        path.unlink()
    codec = load_codec(str(tmp_path))
    z = codec.encode(torch.rand(1, 3, 16, 16))
    assert z.shape == (1, 4, 2, 2)
    assert codec.decode(z).shape == (1, 3, 16, 16)


def test_taesd_variants(tmp_path: Path) -> None:
    save_original(tiny_taesd(4), tmp_path, "taesdxl")
    assert load_codec(str(tmp_path)).spec.name == "taesdxl"  # the only one
    save_original(tiny_taesd(8), tmp_path, "taef1")
    with pytest.raises(CodecSourceError, match=r"several variants \(taef1, taesdxl\); name one"):
        load_codec(str(tmp_path))
    save_original(tiny_taesd(6), tmp_path, "taesd")
    for source, channels in (("", 6), ("#taesdxl", 4), ("#taef1", 8)):
        assert load_codec(f"{tmp_path}{source}").spec.latent_channels == channels
    with pytest.raises(CodecSourceError, match=r"no files taesd3_encoder\.safetensors .*taef1, t"):
        load_codec(f"{tmp_path}#taesd3")


@pytest.mark.parametrize("make", [tiny_kl, tiny_taesd])
def test_bfloat16_is_close_and_answers_in_float32(make: Any, images: torch.Tensor) -> None:
    adapter = DiffusersKLCodec if make is tiny_kl else DiffusersTinyCodec
    full = adapter(make(), name="a", source="a")
    half = adapter(make(), name="b", source="b").to("cpu", torch.bfloat16)
    assert next(half.model.parameters()).dtype == torch.bfloat16
    weights = [p for p in half.model.parameters() if p.ndim == 4]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    z, zh = full.encode(images), half.encode(images)
    assert zh.dtype == torch.float32
    assert half.decode(zh).dtype == torch.float32
    assert (z - zh).abs().max() < 0.05 * z.abs().max() + 0.01
    assert full.spec.fingerprint == half.spec.fingerprint
    assert full.to("cpu").encode(images).dtype == torch.float32  # no dtype: unchanged


def test_gradients_flow_through_but_not_into_a_codec(images: torch.Tensor) -> None:
    for codec in (DiffusersTinyCodec(tiny_taesd(), name="t", source="t"), DCTCodec()):
        latents = codec.encode(images).requires_grad_()
        codec.decode(latents).square().mean().backward()
        assert latents.grad is not None
        assert latents.grad.abs().sum() > 0
    assert not any(
        p.requires_grad for p in DiffusersKLCodec(tiny_kl(), name="", source="").model.parameters()
    )


def test_fingerprint_tells_weights_apart() -> None:
    model = tiny_taesd()
    before = DiffusersTinyCodec(model, name="", source="").spec
    with torch.no_grad():
        next(model.parameters()).add_(0.01)
    after = DiffusersTinyCodec(model, name="", source="").spec
    assert len(before.fingerprint) == 16
    assert before.fingerprint != after.fingerprint
    assert not before.is_compatible(after)


def test_spec_survives_json() -> None:
    spec = CodecSpec("a", "b/c", 16, 8, 1.5305, 0.0609, "0123")
    read = CodecSpec.from_dict(json.loads(json.dumps({**spec.to_dict(), "later": 1})))
    assert read == spec
    with pytest.raises(InputError, match="missing latent_channels, source"):
        CodecSpec.from_dict({"name": "a"})


def test_scaling() -> None:
    spec = CodecSpec("a", "a", 4, scaling_factor=2.0, shift_factor=0.5)
    assert torch.equal(scale_latents(torch.tensor([0.5, 1.5]), spec), torch.tensor([0.0, 2.0]))
    assert torch.equal(unscale_latents(torch.tensor([0.0, 2.0]), spec), torch.tensor([0.5, 1.5]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 8, 8) * 2 - 1, r"must lie in \[0, 1\].*\(image \+ 1\) / 2"),
        (torch.rand(1, 3, 8, 8) * 255, r"must lie in \[0, 1\].*image / 255"),
        (torch.full((1, 3, 8, 8), float("nan")), r"must lie in \[0, 1\], got \[nan, nan\]"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"dtype torch\.uint8; give floats"),
        (torch.rand(3, 8, 8), r"got shape \[3, 8, 8\]; add the batch axis with image\.unsqueeze"),
        (torch.rand(1, 4, 8, 8), r"images must be \[B, 3, H, W\], got shape \[1, 4, 8, 8\]"),
        (torch.rand(1, 3, 8, 12), "image of 12 x 8 pixels.*multiples of 8; pad, crop or resize"),
        ("photo.jpg", r"takes a tensor.*got str; call preprocess\(image\) first"),
    ],
)
def test_encode_image_refuses(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_image(DCTCodec(), image, "cpu")


def test_decode_latent_refuses() -> None:
    with pytest.raises(InputError, match=r"must be \[B, 4, h, w\] for codec dct:4, got.*\[1, 5,"):
        decode_latent(DCTCodec(), torch.zeros(1, 5, 2, 2), "cpu")


def test_dct_sources() -> None:
    assert load_codec("dct").spec.name == "dct:4"
    assert load_codec("dct:16").spec.latent_channels == 16
    assert load_codec(load_codec("dct:7").spec.source).spec == DCTCodec(7).spec
    assert (
        load_codec("dct", dtype=torch.bfloat16).encode(torch.rand(1, 3, 8, 8)).dtype
        == torch.float32
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("dct:0", r"number of channels must be 1 to 192 \(got 0\)"),
        ("dct:193", r"\(got 193\)"),
        ("dct:many", r"expected a number of channels after 'dct:', as in dct:16"),
        (
            "nothing",
            "not a codec; use auto, embedded, dct, dct:CHANNELS, a hub id",
        ),
        ("./no/folder", "no such folder; use auto"),
        ("a/b/c", "no such folder; use auto"),
        ("taesd:nowhere", "no such folder: nowhere"),
        ("", "not a codec"),
    ],
)
def test_error_of_a_wrong_source(source: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as caught:
        load_codec(source)
    assert caught.value.exit_code == 2


def test_errors_of_folders(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CodecSourceError, match=r"holds neither a diffusers autoencoder.*nothing"):
        load_codec(str(empty))
    (empty / "notes.txt").touch()
    with pytest.raises(CodecSourceError, match=r"found notes\.txt"):
        load_codec(str(empty))
    with pytest.raises(CodecSourceError, match="is a file; give the folder that holds it"):
        load_codec(str(empty / "notes.txt"))
    with pytest.raises(CodecSourceError, match=r"needs both taesd_encoder\.safetensors and"):
        load_codec(f"taesd:{empty}")
    (empty / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(CodecSourceError, match="is a UNet2DConditionModel; only AutoencoderKL and"):
        load_codec(str(empty))
    (empty / "config.json").write_text("{}")
    with pytest.raises(CodecSourceError, match="is not the config of a diffusers model"):
        load_codec(str(empty))
    (empty / "config.json").write_text("[")
    with pytest.raises(CodecSourceError, match=r"can not read .*config\.json"):
        load_codec(str(empty))


def test_errors_of_weights(tmp_path: Path) -> None:
    tiny_taesd().save_pretrained(tmp_path / "a")
    weights = tmp_path / "a" / "diffusion_pytorch_model.safetensors"
    whole = load_file(weights)
    save_file({k: v for k, v in whole.items() if "encoder.layers.0" not in k}, weights)
    with pytest.raises(CodecError, match=r"do not fit config\.json.*encoder\.layers\.0\.bias"):
        load_codec(str(tmp_path / "a"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CodecError, match=r"weights can not be loaded .*download is complete"):
        load_codec(str(tmp_path / "a"))
    weights.unlink()
    with pytest.raises(CodecError, match="weights can not be loaded"):
        load_codec(str(tmp_path / "a"))
    save_original(tiny_taesd(), tmp_path / "b")
    save_file(whole, tmp_path / "b" / "taesd_encoder.safetensors")
    with pytest.raises(CodecSourceError, match="do not hold TAESD weights in the layout of the"):
        load_codec(str(tmp_path / "b"))
    (tmp_path / "b" / "taesd_decoder.safetensors").write_bytes(b"cut")
    with pytest.raises(CodecSourceError, match=r"can not read the weights .*download the file"):
        load_codec(str(tmp_path / "b"))


def test_error_without_diffusers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_kl().save_pretrained(tmp_path / "kl")
    tiny_taesd().save_pretrained(tmp_path / "tiny")
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    for source in (str(tmp_path / "kl"), "stabilityai/sd-vae-ft-mse"):
        with pytest.raises(
            CodecError, match=r"needs the package diffusers.*pip install 'lgt\[torch\]'"
        ):
            load_codec(source)
    assert load_codec(str(tmp_path / "tiny")).spec.latent_channels == 4


def test_devices_and_formats() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}
    assert resolve_device(None) == resolve_device("auto")
    with pytest.raises(InputError, match="'gpu' is not a device; use auto, cpu"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="'meta' is not supported; use auto, cpu"):
        resolve_device("meta")
    assert resolve_dtype("BF16") == resolve_dtype(torch.bfloat16) == torch.bfloat16
    assert resolve_dtype("float32") == resolve_dtype("fp32") == torch.float32
    for wrong in ("fp16", torch.float16):
        with pytest.raises(InputError, match="is not supported; use fp32 or bf16"):
            resolve_dtype(wrong)


def test_an_absent_gpu_is_refused_or_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    absent = "'cuda' was asked for, but no CUDA device found; use auto"
    with pytest.raises(InputError, match=absent):
        resolve_device("cuda")
    with pytest.warns(LGTWarning, match=absent):  # In documented scripts.
        codec = load_vae("cuda", "dct")
    with pytest.warns(LGTWarning, match=absent):
        assert encode_image(codec, torch.rand(1, 3, 8, 8), "cuda").device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="'mps' was asked for, but no MPS device found; use auto"):
        resolve_device("mps")
    assert resolve_device("auto") == resolve_device(None) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match=r"1 CUDA device\(s\) found"):
        resolve_device("cuda:3")
