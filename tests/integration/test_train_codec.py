"""The script that made the embedded codec trains, stops when asked to, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from limits import HANG
from safetensors.torch import load_file

from lgt.codec import load_codec
from lgt.codec.tiny import WEIGHTS, load_tiny
from lgt.image import save_image, to_image

ROOT = Path(__file__).parents[2]
Again = Callable[..., str]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return the command of a tiny run in `tmp_path`: random teacher, two pictures."""
    torch.manual_seed(0)
    teacher = AutoencoderTiny(
        encoder_block_out_channels=(6,) * 4,
        decoder_block_out_channels=(6,) * 4,
        num_encoder_blocks=(1, 2, 1, 1),
        num_decoder_blocks=(1, 1, 2, 1),
    )
    teacher.save_pretrained(tmp_path / "teacher")
    for index in range(2):
        picture = tmp_path / "images" / "any" / f"{index}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        save_image(to_image(torch.rand(1, 3, 24, 40)), picture)
    options = {
        "images": tmp_path / "images",
        "val": tmp_path / "images",
        "teacher": tmp_path / "teacher",
        "out": tmp_path / "run",
        "encoder_blocks": "0,1,1,1",
        "decoder_blocks": "1,1,1,0",
        "batch": 4,
        "crop": 16,
        "pool": 8,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["train_codec.py", *words, "--no_features"]


@pytest.fixture
def start(commands: Path) -> Start:
    """Return what starts a script as a user would."""

    def run(command: list[str], *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [commands / "python", str(ROOT / "scripts" / command[0]), *command[1:], *more],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Again:
    """Return what runs a script in this process, once it has run in one of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(command: list[str], *more: str) -> str:
        import_module(Path(command[0]).stem).main([*command[1:], *more])
        return capsys.readouterr().out

    return run


def test_it_saves_when_stopped_and_goes_on(
    command: list[str], start: Start, again: Again, tmp_path: Path
) -> None:
    process = start(command, "--steps", "1000000")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("25/"):
            assert "s/step" in line
            assert "min left" in line
            process.send_signal(signal.SIGTERM)
            break
    text, _ = process.communicate(timeout=HANG)
    assert process.returncode == 0, text
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    step = saved["step"]
    assert step >= 25

    text = again(command, "--steps", str(step + 2))
    assert f"going on after step {step}\n" in text
    assert f"saved at step {step + 2}" in text
    new = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert new["step"] == step + 2
    key = "decoder.layers.0.weight"
    assert not torch.equal(new["student"][key], saved["student"][key])

    codec = load_codec(str(tmp_path / "run" / "codec"))
    assert codec.decode(codec.encode(torch.rand(1, 3, 16, 24))).shape == (1, 3, 16, 24)
    assert not list((tmp_path / "run").glob(".lgt-*"))


def test_more_blocks_than_the_teacher_has_are_refused(command: list[str], again: Again) -> None:
    with pytest.raises(
        SystemExit, match=r"the teacher has \[1, 2, 1, 1\] blocks, can not keep \[0, 9, 1, 1\]"
    ):
        again(command, "--encoder_blocks", "0,9,1,1", "--steps", "1")


def test_the_other_parts_make_it_smaller_and_go_on(
    command: list[str], start: Start, again: Again, tmp_path: Path
) -> None:
    """The encoder with fewer blocks, then the decoder; each result loads, other halves stay."""
    teacher, light = tmp_path / "teacher", tmp_path / "light" / "codec"

    def words(script: str, codec: Path, out: str, *options: str) -> list[str]:
        given = {"images": tmp_path / "images", "codec": codec, "out": tmp_path / out, "batch": 4}
        return [script, *(f"--{name}={value}" for name, value in given.items()), *options]

    lighten = words("lighten_encoder.py", teacher, "light", "--encoder_blocks=0,0,1,2", "--crop=16")
    sharpen = words("sharpen_decoder.py", light, "sharp", "--decoder_blocks=1,2,0,0")
    for number, part in enumerate((lighten, sharpen)):
        process = start(part, "--steps", "2")
        text, _ = process.communicate(timeout=HANG)
        assert process.returncode == 0, text
        if number == 0:
            assert "going on after step 2" in again(part, "--steps", "3")
    sharp = tmp_path / "sharp" / "codec"
    old, halfway, new = (load_file(f / WEIGHTS[0]) for f in (teacher, light, sharp))
    assert torch.equal(halfway["decoder.layers.0.weight"], old["decoder.layers.0.weight"].half())
    assert torch.equal(halfway["encoder.layers.0.weight"], new["encoder.layers.0.weight"])
    assert not torch.equal(halfway["decoder.layers.0.weight"], new["decoder.layers.0.weight"])
    config = json.loads((sharp / "config.json").read_text())
    assert config["num_encoder_blocks"] == [0, 0, 1, 2]
    assert config["num_decoder_blocks"] == [1, 2, 0, 0]
    codec = load_codec(str(sharp))
    assert codec.decode(codec.encode(torch.rand(1, 3, 16, 24))).shape == (1, 3, 16, 24)


def test_what_is_left_starts_as_it_was(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block more is the identity; a block less leaves the others' weights."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from distillation.student import lightened

    model = load_tiny(tmp_path / "teacher", "teacher")
    more = lightened(model, [1, 3, 1, 1], [2, 1, 2, 1])
    images = torch.rand(1, 3, 32, 32)
    latents = model.encoder(images)
    torch.testing.assert_close(more.encoder(images), latents)
    torch.testing.assert_close(more.decoder(latents), model.decoder(latents))
    less = lightened(model, [0, 1, 1, 1])
    assert torch.equal(
        less.encoder.layers[2].conv[0].weight, model.encoder.layers[3].conv[0].weight
    )
