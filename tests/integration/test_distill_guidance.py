"""`scripts/distill_guidance.py` takes what guidance does in several steps into one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import torch
from limits import HANG
from toys import config, dataset, write_latents, write_model

from lgt import LGTInference

ROOT = Path(__file__).parents[2]


def test_one_step_comes_nearer_to_the_guided_end(tmp_path: Path, commands: Path) -> None:
    latents = write_latents(tmp_path / "latents")
    model = write_model(tmp_path / "model.pt", config(inference__cfg_rescale=1.0))
    script = [commands / "python", ROOT / "scripts" / "distill_guidance.py", model]
    script += [latents, tmp_path / "guided.pt", "--scale=3", "--steps=40", "--lr=3e-3"]
    done = subprocess.run(
        script,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "guided.pt")
    x = dataset().latents
    one = {"num_steps": 1, "use_cfg": False, "temperature_lambda": 0.0}
    guided = {"num_steps": 4, "use_cfg": True, "cfg_scale": 3.0, "temperature_lambda": 0.0}

    def end(path: Path, settings: dict[str, float]) -> torch.Tensor:
        return LGTInference(path, device="cpu", **settings).transfer_style(x, 0, 1, seed=0)

    wanted, before, after = (
        end(path, settings)
        for path, settings in ((model, guided), (model, one), (tmp_path / "guided.pt", one))
    )
    assert float((after - wanted).norm()) < 0.6 * float((before - wanted).norm())
