"""Seeds: what every way of giving one takes and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import config, run_lgt, write_model

from lgt import LGTInference, seeds
from lgt.config import parse_config
from lgt.errors import ConfigError, InputError
from lgt.seeds import MANY, MAX_SEED, check_seed, draw_distinct, seeded
from lgt.train.new_style import LearningPlan
from lgt.train.schedule import step_generator


@pytest.mark.parametrize("seed", [0, 7, MAX_SEED, -1, np.int64(7), True])
def test_what_a_generator_takes_is_the_seed(seed: Any) -> None:
    draws = torch.rand(4, generator=seeded(seed))
    assert torch.equal(draws, torch.rand(4, generator=torch.Generator().manual_seed(int(seed))))


@pytest.mark.parametrize("seed", [MAX_SEED + 1, 10**30, -(2**63) - 1, 1.5, "7", [1]])
def test_the_rest_is_one_sentence(seed: Any) -> None:
    with pytest.raises(
        InputError, match=r"^seed: must .* give one from 0 to 18446744073709551615$"
    ):
        check_seed(seed)


def test_no_seed_draws_anew() -> None:
    assert not torch.equal(
        torch.rand(4, generator=seeded(None)), torch.rand(4, generator=seeded(None))
    )


def test_inference_refuses(tmp_path: Path) -> None:
    lgt = LGTInference(write_model(tmp_path / "model.pt"), "cpu")
    with pytest.raises(InputError, match="seed: must have at most 64 bits"):
        lgt.transfer_style(torch.zeros(1, 4, 8, 8), 0, 1, seed=2**64)


def test_training_refuses() -> None:
    assert parse_config('{"training": {"seed": 18446744073709551615}}').training.seed == MAX_SEED
    with pytest.raises(ConfigError, match="seed: must be at most 18446744073709551615"):
        parse_config('{"training": {"seed": 18446744073709551616}}')
    assert config(training__seed=MAX_SEED).training.seed == MAX_SEED
    step_generator(MAX_SEED, 3)
    with pytest.raises(InputError, match="64 bits"):
        step_generator(LearningPlan(seed=2**64).seed, 0)


@pytest.mark.parametrize(
    "command",
    [
        ("add-style", "mine", "works"),
        ("evaluate", "--photos", "p", "--styles", "s", "--out", "o"),
        ("transfer", "a.png", "b.png", "--style", "monet"),
    ],
)
def test_commands_refuse(command: tuple[str, ...]) -> None:
    result = run_lgt(*command, "--seed", 2**64)
    assert result.exit_code == 2
    assert "--seed" in result.stderr and str(MAX_SEED) in result.stderr


@pytest.mark.parametrize("population", [1, 5, MANY, MANY + 1, 10**12])
@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_numbers_are_drawn_once(population: int, count: int) -> None:
    if population == 10**12 or count <= population:
        drawn = draw_distinct(population, count, seeded(3)).tolist()
        assert len(set(drawn)) == len(drawn) == count
        assert all(0 <= number < population for number in drawn)
        assert drawn == draw_distinct(population, count, seeded(3)).tolist()
    else:
        assert sorted(draw_distinct(population, count).tolist()) == list(range(population))


def test_few_of_many_are_drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number at each place as often: 3 of 200, drawn 20,000 times without listing them."""
    monkeypatch.setattr(seeds, "MANY", 1)
    generator, counts = seeded(0), torch.zeros(3, 200)
    for _ in range(20_000):
        counts[torch.arange(3), draw_distinct(200, 3, generator)] += 1
    expected = 20_000 / 200
    chi_square = ((counts - expected).square() / expected).sum(1)
    assert bool((abs(chi_square - 199) < 5 * (2 * 199) ** 0.5).all()), chi_square
