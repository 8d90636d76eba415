"""The preset `plain` is the documented formula, written out here step by step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.build import build_bank, build_energy, uses_features
from lgt.config import Config, config_from_dict, config_to_dict
from lgt.config.presets import PLAIN, preset
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import diffusion_of

DESIGN = Path(__file__).parents[2] / "docs" / "design.md"
WEIGHTS = {"w_style": 2.0, "w_content": 3.0}


def plain(**loss: Any) -> Config:
    """Return the preset with keys of `loss` changed."""
    values = {section: dict(keys) for section, keys in PLAIN.items()}
    values["loss"] |= loss
    return config_from_dict(values)


def written_out(x_1: Tensor, x_src: Tensor, works: Tensor, generator: Generator) -> Tensor:
    """Unfold, project, sort, squared difference; normalise, products, squared difference."""
    work = works[torch.randperm(len(works), generator=generator)[:1]]
    theta = F.normalize(torch.randn(36, 64, generator=generator), dim=0)
    cloud, reference = (F.unfold(x, 3).transpose(1, 2) @ theta for x in (x_1, work))
    swd = (cloud.sort(1).values - reference.sort(1).values).square().mean()
    z, z_src = (F.normalize(x.flatten(2), dim=1) for x in (x_1, x_src))
    ssm = (z.transpose(1, 2) @ z - z_src.transpose(1, 2) @ z_src).square().mean()
    return WEIGHTS["w_style"] * swd + WEIGHTS["w_content"] * ssm


def test_energy_is_the_formula() -> None:
    g = Generator().manual_seed(0)
    latents = torch.randn(8, 4, 16, 16, generator=g)
    x_1 = torch.randn(3, 4, 16, 16, generator=g, requires_grad=True)
    config = plain(**WEIGHTS)
    bank = build_bank(config, latents, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    index = torch.tensor([0, 1, 2])
    terms = build_energy(config, bank)(
        x_1,
        latents[index],
        torch.ones(3, dtype=torch.int64),
        torch.zeros(3, dtype=torch.int64),
        index,
        generator=Generator().manual_seed(1),
    )
    expected = written_out(x_1, latents[index], latents[4:], Generator().manual_seed(1))
    torch.testing.assert_close(terms.total, expected, rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(value, x_1)[0] for value in (terms.total, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-8)


def test_path_is_the_documented_one() -> None:
    config = preset("plain")
    training, inference = config.training, config.inference
    assert training.start == "noised_source" and training.start_time_range == (0.0, 1.0)
    assert training.ode_integration_steps == 5 and training.label_drop_prob == 0.1
    assert not training.use_langevin and not config.model.condition_on_source
    assert not uses_features(config) and not inference.detail
    sigma = diffusion_of(Sampler.of(config))
    assert sigma is not None
    torch.testing.assert_close(sigma(torch.tensor([0.25, 0.75])), torch.tensor([0.0, 0.1]))
    assert (inference.num_steps, inference.cfg_scale, inference.cfg_decay) == (20, 2.0, True)


def test_table_of_the_docs_is_the_preset() -> None:
    """All that the preset changes is there, and no more."""
    row = r"^\| `([a-z_.]+)` \| `([^`]+)` \| `([^`]+)` \|"
    rows = re.findall(row, DESIGN.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 10
    form, defaults = config_to_dict(preset("plain")), config_to_dict(Config())
    for name, in_plain, by_default in rows:
        section, key = name.split(".")
        assert form[section][key] == json.loads(in_plain), name
        assert defaults[section][key] == json.loads(by_default), name
    named = {name for name, *_ in rows}
    changed = {
        f"{section}.{key}"
        for section, keys in form.items()
        for key, value in keys.items()
        if value != defaults[section][key]
    }
    assert named == changed
