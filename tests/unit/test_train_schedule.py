"""Schedules against their closed forms, step generators, averaged weights."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn
from toys import config, trainer

from lgt.train import Checkpoint
from lgt.train.average import WeightAverage
from lgt.train.schedule import ema_decay_at, learning_rate_at, step_generator

PEAK, WARMUP, TOTAL = 2e-4, 10, 110


def rate(step: int, schedule: str = "cosine", warmup: int = WARMUP, ratio: float = 0.1) -> float:
    return learning_rate_at(
        step,
        peak=PEAK,
        total_steps=TOTAL,
        warmup_steps=warmup,
        schedule=schedule,
        min_ratio=ratio,
    )


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_warmup_rises_in_equal_parts_to_the_peak(schedule: str) -> None:
    rates = [rate(step, schedule) for step in range(WARMUP + 1)]
    assert rates[:WARMUP] == pytest.approx([PEAK * (i + 1) / WARMUP for i in range(WARMUP)])
    assert rates[WARMUP] == pytest.approx(PEAK)


def test_cosine_follows_its_closed_form() -> None:
    quarter = (TOTAL - WARMUP) // 4
    expected = {0: 1.0, 1: 0.5 * (1 + math.sqrt(0.5)), 2: 0.5, 3: 0.5 * (1 - math.sqrt(0.5)), 4: 0}
    for quarters, cosine in expected.items():
        seen = rate(WARMUP + quarters * quarter)
        assert seen == pytest.approx(PEAK * (0.1 + 0.9 * cosine))
    falling = [rate(step) for step in range(WARMUP, TOTAL + 1)]
    assert falling == sorted(falling, reverse=True)


def test_rate_stays_at_its_end_beyond_the_last_step() -> None:
    assert rate(TOTAL + 50) == pytest.approx(0.1 * PEAK)
    assert rate(TOTAL + 50, "constant") == PEAK


def test_no_warmup_starts_at_the_peak() -> None:
    assert rate(0, warmup=0) == pytest.approx(PEAK)
    assert rate(0, "constant", warmup=0) == PEAK


def test_warmup_longer_than_the_run_does_not_divide_by_zero() -> None:
    assert 0 < rate(TOTAL, warmup=TOTAL) <= PEAK
    assert rate(5, warmup=1000) == pytest.approx(PEAK * 6 / 1000)


def test_ema_decay_warms_up_to_its_limit() -> None:
    assert ema_decay_at(1, 0.999) == pytest.approx(2 / 11)
    assert ema_decay_at(90, 0.999) == pytest.approx(91 / 100)
    assert ema_decay_at(10**6, 0.999) == 0.999
    assert ema_decay_at(1, 0.1) == 0.1
    decays = [ema_decay_at(step, 0.999) for step in range(1, 2000)]
    assert decays == sorted(decays)


def drawn(*key: int) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=step_generator(*key)).tolist())


def test_step_generator_depends_on_seed_step_and_rank_alone() -> None:
    keys = list(product((0, 1, 2**31), (0, 1, 999), (0, 1)))
    draws = {key: drawn(*key) for key in keys}
    torch.rand(3)  # the global generator has no part in it
    assert len(keys) == 18
    assert all(drawn(*key) == draws[key] for key in keys)
    assert len(set(draws.values())) == len(keys)


def test_consecutive_steps_are_uncorrelated() -> None:
    draws = torch.stack([torch.randn(2000, generator=step_generator(0, step)) for step in range(8)])
    correlation = torch.corrcoef(draws) - torch.eye(8)
    assert float(correlation.abs().max()) < 0.1


def test_average_follows_its_recursion() -> None:
    network = nn.Linear(3, 2)
    average = WeightAverage(network, decay=0.9)
    expected = network.weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            network.weight.add_(1.0)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    state = average.state_dict()
    assert state is not None
    torch.testing.assert_close(state["weight"], expected)


def test_averaged_weights_are_lent_and_given_back() -> None:
    network = nn.Linear(3, 2)
    average = WeightAverage(network, decay=0.9)
    with torch.no_grad():
        network.weight.zero_()
    with pytest.raises(ValueError, match="inside"), average.weights_of(network):
        assert float(network.weight.detach().abs().sum()) > 0
        raise ValueError("inside")
    assert float(network.weight.detach().abs().sum()) == 0


def test_no_decay_keeps_no_average() -> None:
    network = nn.Linear(3, 2)
    average = WeightAverage(network, decay=0.0)
    average.update(network, 1)
    assert average.state_dict() is None
    with average.weights_of(network):
        assert network.weight.requires_grad


def test_a_run_averages_by_the_number_of_the_step(tmp_path: Path) -> None:
    """The first step counts as step 1, and a resumed run goes on counting: decays 2/11, 3/12 ..."""
    settings = config(
        training__ema_decay=0.9,
        training__steps_per_epoch=2,
        checkpoint__save_dir=str(tmp_path),
    )
    run = trainer(settings)
    expected = {name: value.clone() for name, value in run.network.state_dict().items()}
    for step in (1, 2, 3, 4):
        if step == 3:
            run._save(tmp_path / "half.pt")
            run = trainer(settings, checkpoint=Checkpoint.load(tmp_path / "half.pt"))
        run._advance()
        decay = (1 + step) / (10 + step)
        averaged = run.average.state_dict()
        assert averaged is not None
        for name, value in run.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
            torch.testing.assert_close(averaged[name], expected[name], msg=f"{name}, step {step}")
