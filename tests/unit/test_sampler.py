"""What a model can not do is said, and nothing that is asked for is silently without effect."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from limits import HANG
from PIL import Image
from toys import config, run_lgt, write_model

from lgt import LGTInference
from lgt.errors import ConfigError, InputError, LGTWarning
from lgt.paint.sampler import Sampler, Training, choose_sampler

DOCUMENTED: dict[str, Any] = {
    "temperature_lambda": 0.1,
    "use_cfg": True,
    "cfg_scale": 2.0,
    "num_steps": 20,
}
UNGUIDED = {"training__label_drop_prob": 0.0, "inference__use_cfg": False}


def latent() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return Path("photo.png")


def test_the_documented_arguments_act_on_the_shipped_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        documented = LGTInference(device="cpu", **DOCUMENTED)
    bare = LGTInference(device="cpu", temperature_lambda=0.1, num_steps=20)
    assert documented.sampler.is_guided
    x = latent()
    given, unguided = (m.transfer_style(x, 0, 1, seed=0) for m in (documented, bare))
    one = LGTInference(device="cpu").transfer_style(x, 0, 1, seed=0)
    assert not torch.equal(given, unguided)
    # Neither spoils the picture: latents keep their spread.
    for other in (given, unguided):
        assert 0.7 < float(other.std() / one.std()) < 1.4


def test_guidance_is_left_off_where_there_was_no_label_dropout(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt", config(training__label_drop_prob=0.0))
    with pytest.warns(LGTWarning, match=r"guidance \(cfg_scale 2\) is left off: .*label_drop_prob"):
        documented = LGTInference(path, device="cpu", **DOCUMENTED)
    bare = LGTInference(path, device="cpu", temperature_lambda=0.1, num_steps=20, use_cfg=False)
    x = latent()
    given, expected = (m.transfer_style(x, 0, 1, seed=0) for m in (documented, bare))
    assert torch.equal(given, expected)
    assert not documented.sampler.is_guided


def test_guidance_acts_on_a_model_that_has_it(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt", config(inference__use_cfg=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        off, on = LGTInference(path, device="cpu"), LGTInference(path, device="cpu", cfg_scale=3.0)
    x = latent()
    assert on.sampler.is_guided  # A scale alone switches it on.
    difference = on.transfer_style(x, 0, 1, seed=0) - off.transfer_style(x, 0, 1, seed=0)
    assert difference.abs().mean() > 1e-3


def test_a_refusal_of_guidance_outweighs_a_scale(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt", config())
    model = LGTInference(path, device="cpu", use_cfg=False, cfg_scale=3.0)
    assert not model.sampler.is_guided


@pytest.mark.parametrize(
    ("steps", "threshold", "noisy"),
    [(1, 0.5, 0), (3, 0.5, 0), (4, 0.5, 1), (20, 0.5, 9), (4, 1, 0)],
)
def test_steps_after_which_noise_is_added(steps: int, threshold: float, noisy: int) -> None:
    keys = {"inference__num_steps": steps, "inference__temperature_threshold": threshold}
    assert Sampler.of(config(**keys)).noisy_steps() == noisy


def test_noise_that_can_not_act_is_said(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt", config())
    with pytest.warns(LGTWarning, match=r"no effect with num_steps 2: .*give num_steps 4 or more"):
        model = LGTInference(path, device="cpu", temperature_lambda=0.1, num_steps=2)
    assert not model.is_random
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LGTInference(path, device="cpu", temperature_lambda=0.1, num_steps=4).is_random
    for keys, reason in (
        ({"inference__temperature_threshold": 1.0}, "lower temperature_threshold"),
        ({"training__objective": "ot_cfm"}, "ot_cfm"),
    ):
        given = config(**keys)
        _, notes = choose_sampler(Sampler.of(given), Training.of(given), temperature_lambda=0.1)
        assert reason in notes[0]


def test_a_photo_that_is_never_seen_is_said(tmp_path: Path) -> None:
    blind = {"model__condition_on_source": False, "training__start": "noised_source"}
    path = write_model(tmp_path / "model.pt", config(**blind, inference__num_steps=2))
    with pytest.warns(LGTWarning, match=r"the photo is never seen: .*start_time=0\.5"):
        model = LGTInference(path, device="cpu")
    x, y = latent(), -latent()
    assert torch.equal(*(model.transfer_style(z, 0, 1, seed=0) for z in (x, y)))
    seen = write_model(tmp_path / "seen.pt", config(**blind, inference__start_time=0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LGTInference(seen, device="cpu")
    assert not torch.equal(*(model.transfer_style(z, 0, 1, seed=0) for z in (x, y)))
    with pytest.raises(ConfigError, match=r"training\.start: noise with .* never sees the photo"):
        config(model__condition_on_source=False, training__start="noise")


def test_keys_without_effect() -> None:
    plain = {"cfg_scale", "cfg_decay", "cfg_rescale"}
    noise = {"temperature_lambda", "temperature_threshold"}
    assert Sampler.of(config(inference__use_cfg=False)).idle_keys() == plain
    assert Sampler.of(config(inference__num_steps=1)).idle_keys() == noise
    assert Sampler.of(config()).idle_keys() == frozenset()


def test_a_picture_records_only_what_acted(photo: Path) -> None:
    write_model(Path("model.pt"), config(**UNGUIDED, inference__num_steps=1))
    wishes = ("--cfg_scale", "3", "--temperature_lambda", "0.2")
    with pytest.warns(LGTWarning) as caught:
        result = run_lgt(
            "transfer", photo, "a.png", "--style", "paint", "--model", "model.pt", *wishes
        )
    assert result.exit_code == 0, result.stderr
    assert len(caught) == 2
    plain = run_lgt("transfer", photo, "b.png", "--style", "paint", "--model", "model.pt")
    assert plain.exit_code == 0
    records = [json.loads(Image.open(name).info["lgt"])["settings"] for name in ("a.png", "b.png")]
    assert records[0] == records[1]
    assert np.array_equal(Image.open("a.png"), Image.open("b.png"))


def test_no_cfg_on_a_model_without_guidance_is_said(photo: Path) -> None:
    write_model(Path("model.pt"), config(**UNGUIDED))
    write_model(Path("guided.pt"), config())
    transfer = ("transfer", photo, "a.png", "--style", "paint", "--no_cfg", "--model")
    assert "--no_cfg changes nothing" in run_lgt(*transfer, "model.pt").stderr
    assert "--no_cfg changes nothing" not in run_lgt(*transfer, "guided.pt").stderr
    both = run_lgt(*transfer, "guided.pt", "--cfg_scale", "2")
    assert both.exit_code == 2
    assert "--cfg_scale and --no_cfg exclude each other" in both.stderr


@pytest.mark.parametrize(
    ("given", "idle"),
    [
        (["cfg_scale=3"], ["cfg_scale"]),
        (["cfg_decay=false", "temperature_threshold=0.2"], ["cfg_decay", "temperature_threshold"]),
        (["temperature_lambda=0.1"], ["temperature_lambda"]),
        (["temperature_lambda=0.1", "num_steps=4"], []),
        (["temperature_lambda=0", "cfg_scale=1"], []),
    ],
)
def test_keys_that_decide_nothing_are_said(photo: Path, given: list[str], idle: list[str]) -> None:
    write_model(Path("model.pt"), config(**UNGUIDED, inference__num_steps=1))
    keys = [word for key in given for word in ("--set", f"inference.{key}")]
    done = run_lgt("transfer", photo, "a.png", "--style", "paint", "--model", "model.pt", *keys)
    assert done.exit_code == 0
    said = [line.split()[2] for line in done.stderr.splitlines() if "changes nothing" in line]
    assert said == [f"inference.{key}" for key in idle]


def test_the_page_refuses_noise_that_can_not_act(tmp_path: Path) -> None:
    from lgt.web.settings import parse_settings
    from lgt.web.stylist import ModelStylist

    stylist = ModelStylist(str(write_model(tmp_path / "model.pt", config(**UNGUIDED))), None, "cpu")
    photo = Image.new("RGB", (16, 16), "grey")
    few = parse_settings({"style": "paint", "temperature_lambda": "0.2", "num_steps": "2"})
    with pytest.raises(InputError, match="give num_steps 4 or more"):
        stylist.stylize(photo, few, None, lambda _: None)
    enough = parse_settings({"style": "paint", "temperature_lambda": "0.2", "num_steps": "4"})
    assert stylist.stylize(photo, enough, None, lambda _: None).size == (16, 16)


def test_the_command_prints_a_warning_as_one_line(photo: Path) -> None:
    write_model(Path("model.pt"), config(**UNGUIDED))
    line = ["-m", "lgt", "transfer", str(photo), "a.png", "--style", "paint", "--model", "model.pt"]
    result = subprocess.run(
        [sys.executable, *line, "--cfg_scale", "2"], capture_output=True, text=True, timeout=HANG
    )
    assert result.returncode == 0, result.stderr
    said = [row for row in result.stderr.splitlines() if "guidance" in row]
    assert len(said) == 1
    assert said[0].startswith("WARNING: guidance (cfg_scale 2) is left off")
