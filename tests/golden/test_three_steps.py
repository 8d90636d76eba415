"""Nothing has drifted: all energy terms of three tiny training steps, in six configurations.

A change that is meant runs `pytest tests/golden --update-golden` and gets a line under "Numbers
changed" in CHANGELOG.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.build import (
    build_bank,
    build_energy,
    build_network,
    build_perceptual_network,
)
from lgt.codec import CodecSpec
from lgt.config import config_from_dict, config_to_dict
from lgt.config.presets import PLAIN, preset
from lgt.dynamics import SOLVERS, integrate, start_state, with_kinetic_energy
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import diffusion_of

STORED = Path(__file__).with_name("three_steps.json")
RELATIVE, ABSOLUTE = 2e-3, 1e-6
"""Tolerances: other processors and PyTorch versions round otherwise, and three steps amplify it."""
RELATIVE_AFTER_CRITICS = 1e-2
"""In the third step, beside critics, which follow signs of their gradients (Adam): weights that
differ by 1e-6 give terms off by 3e-3 there, by 1e-4 before, and by 4e-6 without critics."""
STEP_LENGTH = 0.02
"""How far the weights move a step, along the gradient: the first steps of Adam follow its signs,
which rounding turns where it is near 0."""

SHIPPED = {
    name: keys
    for name, keys in config_to_dict(preset("large")).items()
    if name in ("loss", "inference")
}

STABLE_DIFFUSION = CodecSpec(name="any", source="embedded", latent_channels=4)

CASES: dict[str, dict[str, dict[str, Any]]] = {
    "split": {},
    "raw": {
        "loss": {
            "style_bands": "raw",
            "patch_dilations": [1],
            "content_patch_size": 1,
            "content_scales": [1],
            "content_gain": 1.0,
            "w_identity": 0.0,
        },
        "training": {"start": "noised_source", "use_langevin": False},
    },
    "random": {"loss": {"assigned_works": 0}},
    "heun_adagn": {
        "model": {"style_injection": "adagn"},
        "training": {"solver": "heun", "start": "noise"},
        "loss": {"use_velocity_reg": True},
    },
    "plain": {**PLAIN, "training": {**PLAIN["training"], "ode_integration_steps": 5}},
    "shipped": {
        **SHIPPED,
        "training": {"ode_integration_steps": 1, "mixed_precision": "no"},
        # The pictures of the works are not at hand: their decoded latents serve.
        "loss": SHIPPED["loss"]
        | {
            "works_root": "",
            "works_margin": 0.0,
            "detail": 0.0,
            "content_by_style": {"style0": 0.5},
        },
    },
}
TINY: dict[str, dict[str, Any]] = {
    "model": {"base_channels": 8, "style_dim": 8, "time_dim": 8},
    "loss": {
        "num_projections": 16,
        "max_samples": 128,
        "max_positions": 64,
        "patch_dilations": [1, 2, 4],
        "texture_gain": 10.0,
        "color_gain": 1.0,
        "content_gain": 10.0,
        "w_identity": 0.5,
        "assigned_works": 2,
        "assignment_softness": 0.05,
        "bank_works": 8,
    },
    "training": {"ode_integration_steps": 4},
    "inference": {"temperature_lambda": 0.1, "temperature_threshold": 0.5},
}
"""Pinned, so that a better default is no drift."""


def toy_latents() -> tuple[Tensor, Tensor]:
    """Return six smooth and six grainy latents of 12 x 12, those shifted in colour."""
    noise = torch.randn(12, 4, 12, 12, generator=Generator().manual_seed(1))
    smooth = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="circular"), 3, stride=1)
    ids = torch.arange(12) % 2
    is_grainy = ids.reshape(-1, 1, 1, 1) == 1
    return torch.where(is_grainy, noise + 0.5, smooth), ids


def scale_gradients(network: torch.nn.Module) -> None:
    """Give the gradient unit length."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
    for gradient in gradients:
        gradient /= norm


def three_steps(changes: dict[str, dict[str, Any]]) -> list[dict[str, float]]:
    """Train for three steps on one batch of mixed styles and return each step's terms."""
    sections = {
        name: TINY.get(name, {}) | changes.get(name, {}) for name in TINY.keys() | changes.keys()
    }
    config = config_from_dict(sections, "golden")
    training, generator = config.training, Generator().manual_seed(0)
    bank, network = build_bank(config, *toy_latents()), build_network(config)
    is_decoded = config.loss.perceptual_network == "decoded"
    features = build_perceptual_network(config, STABLE_DIFFUSION) if is_decoded else None
    energy = build_energy(config, bank, features)
    optimizer = torch.optim.SGD(network.parameters(), lr=STEP_LENGTH)
    index = torch.tensor([0, 1, 2, 3])
    source, target, x_src = bank.style_ids[index], torch.tensor([1, 0, 0, 1]), bank.latents[index]
    measured = []
    for _ in range(3):
        x, start = x_src, torch.zeros(4)
        if training.start != "source":
            is_noise = training.start == "noise"
            start = torch.zeros(4) if is_noise else torch.rand(4, generator=generator)
            x = start_state(x_src, start, generator)
        condition = network.condition(
            target, source, x_src if network.condition_on_source else None
        )
        velocity, kinetic = with_kinetic_energy(
            lambda x, t, condition=condition: network.velocity(x, t, condition)
        )
        x_1 = integrate(
            velocity,
            x,
            num_steps=training.ode_integration_steps,
            start=start,
            step=SOLVERS[training.solver],
            diffusion=diffusion_of(Sampler.of(config)) if training.use_langevin else None,
            generator=generator,
        )
        terms = energy(x_1, x_src, target, source, index, kinetic=kinetic(), generator=generator)
        optimizer.zero_grad()
        terms.total.backward()
        scale_gradients(network)
        optimizer.step()
        measured.append(terms.as_floats())
    return measured


@pytest.mark.parametrize("name", CASES)
def test_energies_of_three_steps(name: str, update_golden: bool) -> None:
    """Compare all terms of three steps with the stored ones."""
    measured = three_steps(CASES[name])
    stored: dict[str, Any] = (
        json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    )
    if update_golden:
        stored[name] = measured
        STORED.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
        return
    checked = 0
    for step, (now, before) in enumerate(zip(measured, stored[name], strict=True)):
        assert now.keys() == before.keys()
        is_late = step == 2 and "critic" in now
        relative = RELATIVE_AFTER_CRITICS if is_late else RELATIVE
        for term, value in now.items():
            expected = pytest.approx(before[term], rel=relative, abs=ABSOLUTE)
            assert value == expected, f"step {step}, {term}; see this file's first lines"
            checked += 1
    print(f"{checked} numbers checked")
    assert checked == 3 * len(measured[0]) >= 18


def test_the_stored_file_holds_these_cases(update_golden: bool) -> None:
    """No case is left behind in the file, none is missing; energies change from step to step."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    if update_golden:
        stored = {name: stored[name] for name in CASES}
        STORED.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    assert list(stored) == list(CASES)
    for name, steps in stored.items():
        totals = [step["total"] for step in steps]
        assert len(set(totals)) == 3, name
        assert all(total > 0 for total in totals), name
