"""Release files: round trip, size, portability, refusals; and the model inside the package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from toys import config, dataset, fields, trainer, write_model

from lgt import LGTInference
from lgt.codec import CodecSpec
from lgt.config import config_from_dict, parse_config
from lgt.errors import CheckpointError, InputError
from lgt.image import open_image
from lgt.model.release import portable_codec, read_release, write_release
from lgt.model.shipped import EMBEDDED, MODEL_FOLDER, MODEL_NAME, SOURCE_NAME, find_model, thumbnail
from lgt.train import Checkpoint

TAESD = CodecSpec("taesd", "/home/me/taesd", 4, fingerprint="abc")


def packed(path: Path, *, spec: CodecSpec | None = None, **replaced: Any) -> Path:
    """Write a toy checkpoint and its release file."""
    checkpoint = Checkpoint.load(write_model(path.with_suffix(".pt"), **replaced))
    write_release(replace(checkpoint, codec=spec or checkpoint.codec), path)
    return path


def metadata(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        assert list(file.metadata()) == ["lgt"], "one key, so that equal models give equal files"
        content: dict[str, Any] = json.loads(file.metadata()["lgt"])
    return content


def test_it_holds_the_averaged_weights_in_half_the_bytes(tmp_path: Path) -> None:
    network = Checkpoint.load(write_model(tmp_path / "a.pt")).network
    ema = {name: weight + 0.1 for name, weight in network.items()}
    loaded = Checkpoint.load(packed(tmp_path / "model.safetensors", ema=ema))
    assert loaded.network.keys() == ema.keys()
    for name, weight in loaded.network.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, ema[name].half().float())
    assert loaded.ema is None
    assert loaded.optimizer is None
    count = sum(weight.numel() for weight in ema.values())
    assert (tmp_path / "model.safetensors").stat().st_size < 2 * count + 20_000


def test_it_keeps_what_inference_needs(tmp_path: Path) -> None:
    settings = config(inference__num_steps=3, loss__w_style=2.5)
    loaded = Checkpoint.load(packed(tmp_path / "model.safetensors", settings=settings))
    assert loaded.style_names == ("photo", "paint")
    assert loaded.latent_shape == (4, 8, 8)
    assert loaded.step == 6
    assert loaded.codec is not None
    assert loaded.codec.source == "dct:4"
    assert loaded.config.inference == settings.inference
    assert loaded.config.loss == settings.loss
    assert loaded.config.model == settings.model


def test_pictures_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    path = packed(tmp_path / "model.safetensors")
    x_src = fields(2, 4, 8)[:2]
    whole, small = (
        LGTInference(file, "cpu").transfer_style(x_src, 0, 1, seed=0)
        for file in (tmp_path / "model.pt", path)
    )
    change = float((whole - x_src).abs().mean())
    assert 0 < float((whole - small).abs().mean()) < 0.01 * change


def test_no_path_of_the_machine_goes_in(tmp_path: Path) -> None:
    settings = config(
        data__data_root="/home/me/latents",
        data__codec="/home/me/taesd",
        checkpoint__save_dir="/home/me/run",
        loss__perceptual_network="/home/me/features",
        training__init_from="/home/me/first.pt",
    )
    path = packed(tmp_path / "model.safetensors", settings=settings, spec=TAESD)
    assert b"/home/me" not in path.read_bytes()
    content = metadata(path)
    assert content["codec"] == {**TAESD.to_dict(), "source": "embedded"}
    assert content["config"]["data"]["codec"] == "embedded"
    assert config_from_dict(content["config"]).model == settings.model


@pytest.mark.parametrize("source", ["/home/me/sd3", "./sd3", "taesd:sd3"])
def test_a_private_codec_with_other_latents_is_refused(source: str) -> None:
    with pytest.raises(CheckpointError, match=r"folder of this machine .*a hub id"):
        portable_codec(CodecSpec("sd3", source, 16))
    public = CodecSpec("sd3", "someone/sd3-vae", 16)
    assert portable_codec(public) == public


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_weights_beyond_float16_are_refused(tmp_path: Path, value: float) -> None:
    network = Checkpoint.load(write_model(tmp_path / "a.pt")).network
    network["conv_out.bias"] = torch.full_like(network["conv_out.bias"], value)
    with pytest.raises(CheckpointError, match=r"conv_out\.bias holds values beyond float16"):
        packed(tmp_path / "model.safetensors", network=network)
    assert not (tmp_path / "model.safetensors").exists()


def test_content_decides_before_the_suffix(tmp_path: Path) -> None:
    path = packed(tmp_path / "model.safetensors").rename(tmp_path / "model.bin")
    assert Checkpoint.load(path).step == 6
    misnamed = write_model(tmp_path / "a.pt").rename(tmp_path / "a.safetensors")
    assert Checkpoint.load(misnamed).step == 6


def test_every_kind_of_damage_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole.safetensors").read_bytes()
    damaged = [whole[: len(whole) * part // 5] for part in range(5)]
    damaged += [b"just text\n", bytes(100), whole[:8] + bytes(300) + whole[308:]]
    path = tmp_path / "a.safetensors"
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.safetensors: can not be read .* damaged"):
            Checkpoint.load(path)
    assert len(damaged) == 8


def test_other_versions_and_other_files_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "model.safetensors")
    content, weights = metadata(path), read_release(path)["network"]
    save_file(weights, path, {"lgt": json.dumps({**content, "schema_version": 7})})
    with pytest.raises(CheckpointError, match="version 7, this program reads version 1"):
        Checkpoint.load(path)
    del content["style_names"]
    save_file(weights, path, {"lgt": json.dumps(content)})
    with pytest.raises(CheckpointError, match=r"a part of it is missing .*style_names"):
        Checkpoint.load(path)
    save_file(weights, path, {"lgt": "not json"})
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(path)
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of LGT"):
        Checkpoint.load(path)
    with pytest.raises(CheckpointError, match=r"no such checkpoint.*in .*: model\.pt, model\.s"):
        Checkpoint.load(tmp_path / "gone.safetensors")


def test_training_does_not_go_on_from_it(tmp_path: Path) -> None:
    released = Checkpoint.load(packed(tmp_path / "model.safetensors"))
    with pytest.raises(InputError, match=r"no optimiser state.*resume from a \.pt file"):
        trainer(config(), dataset(), checkpoint=released)


# --- the model inside the package ----------------------------------------------------------------


def test_the_shipped_model_is_the_default() -> None:
    lgt = LGTInference(device="cpu")
    assert {"photo", "monet", "vangogh", "ukiyoe", "watercolor", "durer"} <= set(lgt.style_names)
    assert lgt.codec_spec is not None
    assert lgt.codec_spec.source == "embedded"
    assert lgt.config.inference.num_steps <= 8
    assert "photo" not in lgt.painted_styles
    image = open_image(MODEL_FOLDER / SOURCE_NAME).crop((100, 60, 137, 113))
    results = [
        lgt.stylize(image, style, codec=lgt.load_codec(), seed=0) for style in ("vangogh", "durer")
    ]
    assert [result.size for result in results] == [(37, 53)] * 2
    assert results[0].tobytes() != results[1].tobytes()


def test_the_shipped_files_are_small_and_complete() -> None:
    path = find_model(EMBEDDED)
    assert path.stat().st_size <= 22_000_000
    assert b"/home/" not in path.read_bytes()[:20_000]
    checkpoint = Checkpoint.load(path)
    for name in checkpoint.style_names:
        assert thumbnail(name).stat().st_size <= 15_000
        assert open_image(thumbnail(name)).size == open_image(MODEL_FOLDER / SOURCE_NAME).size
    reproduced = parse_config((MODEL_FOLDER / "config.json").read_text())
    trained = checkpoint.config.model.model_copy(update={"num_corrector_blocks": 0})
    assert reproduced == checkpoint.config.model_copy(update={"model": trained})
    assert reproduced.data.style_subdirs == checkpoint.style_names
    card = (MODEL_FOLDER / "README.md").read_text()
    for heading in ("Data", "Licence", "Measured quality", "Limits"):
        assert f"\n## {heading}\n" in card
    assert ", ".join(checkpoint.style_names) in card


def test_an_installation_without_the_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgt.model.shipped.MODEL_FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match=rf"missing .*{MODEL_NAME}.*install lgt again"):
        LGTInference()
