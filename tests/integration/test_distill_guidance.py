"""`scripts/distill_guidance.py` takes what guidance does in several steps into one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from limits import HANG
from toys import config, dataset, write_latents, write_model

from lgt import LGTInference


@pytest.mark.parametrize("spared", ["", "paint"])
def test_one_step_comes_nearer_to_the_guided_end(
    spared: str, tmp_path: Path, run_program: Callable[..., str]
) -> None:
    latents, out = write_latents(tmp_path / "latents"), tmp_path / "guided.pt"
    model = write_model(tmp_path / "model.pt", config())
    settings = ("--scale=3", "--steps=40", "--lr=3e-3", f"--spare={spared}")
    printed = run_program("scripts/distill_guidance.py", model, latents, out, *settings)
    assert printed.splitlines()[-1] == str(out)
    x = dataset().latents
    one = {"num_steps": 1, "use_cfg": False, "temperature_lambda": 0.0}
    guided = {"num_steps": 4, "use_cfg": True, "cfg_scale": 3.0, "temperature_lambda": 0.0}

    def end(path: Path, settings: dict[str, float]) -> torch.Tensor:
        return LGTInference(path, device="cpu", **settings).transfer_style(x, 0, 1, seed=0)

    wanted, before, after = (
        end(path, settings) for path, settings in ((model, guided), (model, one), (out, one))
    )
    far = float((before - wanted).norm())
    assert float((after - (before if spared else wanted)).norm()) < 0.6 * far


def test_an_unknown_style_is_one_sentence(tmp_path: Path, commands: Path, repository: Path) -> None:
    model = write_model(tmp_path / "model.pt", config())
    script = [commands / "python", "scripts/distill_guidance.py", model, tmp_path, "x.pt"]
    done = subprocess.run(
        [*script, "--spare=pant"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown style 'pant'; did you mean 'paint'?")
    assert "Traceback" not in done.stderr
