"""Every sampler without torch gives the pictures of torch, noise included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes import difference, picture
from toys import config, write_model

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from lgt.codec import load_codec
from lgt.errors import InputError
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import write_release
from lgt.paint.engine import Transport
from lgt.paint.transfer import LGTInference
from lgt.runtime import Runtime
from lgt.runtime.noise import Noise
from lgt.seeds import seeded

SAMPLERS: dict[str, tuple[dict[str, float], tuple[str, ...]]] = {
    "steps": ({"num_steps": 4}, ()),
    "heun": ({"num_steps": 2}, ("training.solver=heun",)),
    "guided": ({"num_steps": 2, "cfg_scale": 3.0}, ()),
    "overdrawn": (
        {"num_steps": 2, "cfg_scale": 2.0},
        ("inference.cfg_rescale=0", "inference.cfg_decay=false"),
    ),
    "noise": ({"num_steps": 5, "temperature_lambda": 0.5}, ()),
    "noised": ({"num_steps": 2}, ("training.start=noised_source", "inference.start_time=0.7")),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGT_CACHE", str(compiled))


@pytest.mark.parametrize("seed", [0, 3, -5, 2**40 + 7, 2**64 - 1])
def test_noise_is_that_of_torch(seed: int) -> None:
    """One draw after the other, of whole blocks of 16 and of others."""
    noise, generator = Noise(seed), seeded(seed)
    for shape in ((1, 4, 8, 8), (2, 4, 13, 9), (17,), (4, 4, 1, 1)):
        expected = torch.randn(shape, generator=generator).numpy()
        np.testing.assert_allclose(noise.normal(shape), expected, atol=2e-6)


def test_noise_without_a_seed_is_drawn_anew() -> None:
    assert (Noise(None).normal((64,)) != Noise(None).normal((64,))).any()


@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "openvino") for name in SAMPLERS), ("guided", "onnx"), ("noise", "onnx")],
)
def test_a_sampler_is_that_of_torch(name: str, backend: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    wishes, changes = SAMPLERS[name]
    sampler: dict[str, Any] = {"temperature_lambda": 0.0} | wishes
    lgt = LGTInference(device="cpu", changes=changes, **sampler)
    runtime = Runtime(
        backend=backend, precision="fp32", threads=1, changes=changes, sampler=sampler
    )
    more = {"repulsion": 0.3} if name == "guided" else {}
    made = runtime.stylize(picture(), "vangogh", seed=7, **more)
    expected = lgt.stylize(picture(), "vangogh", codec=lgt.load_codec(), seed=7, **more)
    assert difference(made, expected).max() <= 1
    plain = LGTInference(device="cpu").stylize(picture(), "vangogh", codec=lgt.load_codec())
    assert difference(made, plain).max() > 3
    if lgt.sampler.is_random:
        assert difference(made, runtime.stylize(picture(), "vangogh", seed=8)).max() > 3


def packed(folder: Path, **changes: Any) -> Path:
    """Pack a small model of the embedded codec that looks at its photo."""
    keys = {"data__codec": "embedded", "model__condition_on_source": True} | changes
    spec = load_codec("embedded").spec
    checkpoint = Checkpoint.load(write_model(folder / "m.pt", config(**keys), codec=spec))
    write_release(checkpoint, folder / "m.safetensors")
    return folder / "m.safetensors"


def test_a_network_that_looks_at_its_photo_is_that_of_torch(tmp_path: Path) -> None:
    """The documented architecture, with the documented sampler's guidance and decay."""
    path = packed(tmp_path, inference__num_steps=3, training__label_drop_prob=0.1)
    lgt, runtime = LGTInference(path, "cpu"), Runtime(path, precision="fp32", threads=1)
    assert lgt.sampler.is_guided and runtime.sampler == lgt.sampler
    name = lgt.style_names[1]
    x_src = torch.randn(2, 4, 7, 9, generator=seeded(0))
    transport = Transport(style={1: 1.0}, sampler=runtime.sampler, seed=1)
    made = runtime.move(x_src.numpy(), transport, None, lambda _: None)
    expected = lgt.transfer_style(x_src, target_style_id=name, seed=1).numpy()
    np.testing.assert_allclose(made, expected, atol=1e-4)
    assert np.abs(made - x_src.numpy()).max() > 1e-2
    with pytest.raises(InputError, match=r"takes one plain step, .* num_steps other than 1, guid"):
        runtime.graph(name)


def test_a_corrector_is_that_of_torch(tmp_path: Path) -> None:
    """At the start of a path, where time is a constant of the graph, and on it."""
    keys = {"data__codec": "embedded", "model__num_corrector_blocks": 2}
    checkpoint = Checkpoint.load(
        write_model(tmp_path / "m.pt", config(**keys), codec=load_codec("embedded").spec)
    )
    weights = checkpoint.inference_weights
    moved = {name: value for name, value in weights.items() if "corrector.conv_out" in name}
    torch.manual_seed(0)
    weights |= {name: 0.3 * torch.randn_like(value) for name, value in moved.items()}
    path = tmp_path / "m.safetensors"
    write_release(replace(checkpoint, network=weights, ema=None), path)
    x_src = torch.randn(1, 4, 7, 9, generator=seeded(0))
    for steps in (1, 3):
        lgt = LGTInference(path, "cpu", num_steps=steps)
        runtime = Runtime(path, precision="fp32", threads=1, sampler={"num_steps": steps})
        transport = Transport(style={1: 1.0}, sampler=runtime.sampler, seed=1)
        made = runtime.move(x_src.numpy(), transport, None, lambda _: None)
        expected = lgt.transfer_style(x_src, target_style_id=1, seed=1).numpy()
        np.testing.assert_allclose(made, expected, atol=1e-4)
        lgt.network.corrector = None
        without = lgt.transfer_style(x_src, target_style_id=1, seed=1).numpy()
        assert np.abs(made - without).max() > 1e-2


def test_progress_ends_once_and_is_told_each_evaluation() -> None:
    told: list[float] = []
    changes = ("training.solver=heun",)
    runtime = Runtime(threads=1, changes=changes, sampler={"num_steps": 2})
    transport = Transport(style={1: 1.0}, sampler=runtime.sampler, seed=1)
    runtime.move(np.zeros((2, 4, 4, 4), np.float32), transport, None, told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_integers_do_one_plain_step() -> None:
    pytest.importorskip("nncf")
    with pytest.raises(InputError, match="int8 does not do num_steps other than 1, guidance"):
        Runtime(backend="openvino", precision="int8", sampler={"num_steps": 4, "cfg_scale": 2.0})
