"""Solvers visit the promised times, arrive at exactly 1, and add noise where they say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from lgt.dynamics import (
    constant,
    euler,
    euler_maruyama,
    euler_step,
    heun,
    heun_step,
    integrate,
    temperature,
    with_kinetic_energy,
)
from lgt.dynamics.solvers import Step, Velocity
from lgt.errors import InputError


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def still(x: Tensor, t: Tensor) -> Tensor:
    """Return no drift at all."""
    return torch.zeros_like(x)


def recording(seen: list[tuple[Tensor, Tensor]], inner: Step = euler_step) -> Step:
    """Return a step that notes the times of each step's ends."""

    def step(velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        seen.append((t, t_next))
        return inner(velocity, x, t, t_next)

    return step


def test_regression_integration_arrives_at_exactly_one() -> None:
    """Recorded times: a fixed uniform grid, no step of which shrinks, whose end is exactly 1."""
    starts = [0.0, 0.1, 0.3, 0.5, 0.7, 0.99, torch.tensor([0.0, 0.2, 0.9])]
    checked = 0
    for start, steps in itertools.product(starts, (1, 2, 3, 5, 7, 20)):
        seen: list[tuple[Tensor, Tensor]] = []
        integrate(still, torch.zeros(3, 2), num_steps=steps, start=start, step=recording(seen))
        first = torch.as_tensor(start).expand(3)
        assert len(seen) == steps
        assert torch.equal(seen[0][0], first)
        assert torch.equal(seen[-1][1], torch.ones(3))
        for i, (t, t_next) in enumerate(seen):
            torch.testing.assert_close(t, first + (1 - first) * i / steps)
            if i + 1 < steps:
                assert torch.equal(t_next, seen[i + 1][0])  # no gap, no overlap
        checked += 1
    print(f"{checked} grids checked")
    assert checked == 42


@pytest.mark.parametrize("solver", [euler, heun])
def test_regression_a_constant_drift_is_followed_for_the_whole_interval(
    solver: Callable[..., Tensor],
) -> None:
    """`x + c (1 - start)` for 1, 5 and 20 steps; a step size that is recomputed loses a third."""
    x, drift = torch.zeros(3, 4), torch.tensor([1.0, -2.0, 0.5, 3.0])
    for steps, start in itertools.product((1, 5, 20), (0.0, 0.25, torch.tensor([0.0, 0.5, 1.0]))):
        end = solver(lambda x, _: drift.expand_as(x), x, num_steps=steps, start=start)
        remaining = 1 - torch.as_tensor(start).expand(3)
        torch.testing.assert_close(end, remaining[:, None] * drift)


def test_steps_and_evaluations() -> None:
    """Euler asks once a step, at its start; Heun also at its end, which is 1 at last."""
    for step, per_step in ((euler_step, 1), (heun_step, 2)):
        times: list[float] = []

        def velocity(x: Tensor, t: Tensor, times: list[float] = times) -> Tensor:
            times.append(float(t[0]))
            return x

        integrate(velocity, torch.ones(2, 3), num_steps=4, step=step)
        expected = (
            [0, 0.25, 0.5, 0.75] if per_step == 1 else [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1]
        )
        assert times == expected


def test_one_step_by_hand() -> None:
    """Euler and Heun on dx/dt = x + t from 1 over [0, 1]: 2 and 3."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return x + t[:, None]

    assert euler(velocity, torch.ones(1, 1), num_steps=1).item() == 2
    assert heun(velocity, torch.ones(1, 1), num_steps=1).item() == 3


@pytest.mark.parametrize("steps", [0, -3])
def test_too_few_steps_are_an_error(steps: int) -> None:
    """The message says what is needed and what was given."""
    with pytest.raises(InputError, match=rf"num_steps must be at least 1 \(got {steps}\)"):
        integrate(still, torch.zeros(1, 1), num_steps=steps)


def test_regression_a_single_step_has_no_noise() -> None:
    """The last kick is left out, so one step is deterministic and draws nothing."""
    x, generator = torch.randn(4, 3, generator=seeded(1)), seeded(2)
    state = generator.get_state()
    noisy = euler_maruyama(
        lambda x, _: -x, x, num_steps=1, diffusion=constant(50.0), generator=generator
    )
    assert torch.equal(noisy, euler(lambda x, _: -x, x, num_steps=1))
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize(
    "steps,threshold,noisy_time",
    [(2, 0.0, 1 / 2), (8, 0.0, 7 / 8), (8, 0.5, 3 / 8), (8, 0.75, 1 / 8), (4, 0.75, 0), (8, 1, 0)],
)
def test_regression_noise_has_the_variance_of_the_noisy_steps_but_the_last(
    steps: int, threshold: float, noisy_time: float
) -> None:
    """Huge sigma, no drift: variance = sigma**2 * (sum of dt of noisy steps except the last)."""
    sigma, count = 1000.0, 40_000
    end = euler_maruyama(
        still,
        torch.zeros(count, 1),
        num_steps=steps,
        diffusion=temperature(sigma, float(threshold)),
        generator=seeded(3),
    )
    expected = sigma**2 * noisy_time
    error = 4 * expected * math.sqrt(2 / count)  # four standard errors
    assert end.var().item() == pytest.approx(expected, abs=error)
    assert abs(end.mean().item()) <= 4 * math.sqrt(expected / count)


def test_noise_scales_with_each_samples_own_step() -> None:
    """Start times of 0, 0.75 and 1: variances sigma**2 (1 - start) (n - 1) / n."""
    count = 40_000
    end = euler_maruyama(
        still,
        torch.zeros(3, count),
        num_steps=4,
        start=torch.tensor([0.0, 0.75, 1.0]),
        diffusion=constant(2.0),
        generator=seeded(4),
    )
    expected = 4 * torch.tensor([1.0, 0.25, 0.0]) * 3 / 4
    torch.testing.assert_close(end.var(dim=1), expected, rtol=0.03, atol=0)


def test_regression_noise_begins_at_the_threshold_away_from_its_symmetric_point() -> None:
    """Threshold 0.75 with 8 steps: the states up to t = 0.75 are those of the plain path."""
    paths: list[list[Tensor]] = []
    for diffusion in (None, temperature(1.0, 0.75)):
        states: list[Tensor] = []

        def velocity(x: Tensor, t: Tensor, states: list[Tensor] = states) -> Tensor:
            states.append(x)
            return -x

        integrate(velocity, torch.ones(5, 2), num_steps=8, diffusion=diffusion, generator=seeded(1))
        paths.append(states)
    plain, noisy = paths
    differs = [not torch.equal(a, b) for a, b in zip(plain, noisy, strict=True)]
    assert differs == [False] * 7 + [True]  # states at 0, 1/8 ... 7/8; the kick follows t = 6/8


@pytest.mark.parametrize("threshold,steps", [(0.1, 10), (0.3, 10), (0.6, 5), (0.7, 10), (0.7, 20)])
def test_rounding_does_not_decide_the_threshold(threshold: float, steps: int) -> None:
    """A grid point that equals the threshold on paper is noisy: `i / n`, never `i * dt`."""
    seen: list[tuple[Tensor, Tensor]] = []
    integrate(still, torch.zeros(1, 1), num_steps=steps, step=recording(seen))
    noisy = [float(temperature(1.0, threshold)(t)) for t, _ in seen]
    assert noisy.index(1.0) == round(threshold * steps)


def test_one_seed_gives_one_path() -> None:
    """The generator alone decides; the global one is neither used nor moved."""
    x = torch.zeros(2, 3)
    state = torch.get_rng_state()
    ends = [
        euler_maruyama(still, x, num_steps=3, diffusion=constant(1.0), generator=seeded(seed))
        for seed in (5, 5, 6)
    ]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_drawn_in_float32_for_every_dtype() -> None:
    """States keep their dtype, and half precision sees the same noise, rounded."""
    ends = {}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.zeros(64, dtype=dtype)
        ends[dtype] = euler_maruyama(
            still, x, num_steps=2, diffusion=constant(1.0), generator=seeded(1)
        )
        assert ends[dtype].dtype == dtype
        torch.testing.assert_close(ends[dtype].float(), ends[torch.float32], rtol=1e-2, atol=1e-2)


def test_gradients_pass_through_noisy_steps() -> None:
    """Noise is additive: with no drift the end moves exactly as the start does."""
    x = torch.zeros(3, 2, requires_grad=True)
    end = euler_maruyama(still, x, num_steps=4, diffusion=constant(1.0), generator=seeded())
    end.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones(3, 2))


@pytest.mark.parametrize("step,evaluations", [(euler_step, 5), (heun_step, 10)])
def test_kinetic_energy_is_the_mean_square_of_all_velocities(step: Step, evaluations: int) -> None:
    """Every evaluation counts once, the path is unchanged, and the gradient flows."""
    values: list[Tensor] = []
    rate = torch.tensor(0.7, requires_grad=True)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        values.append(-rate * x + t[:, None])
        return values[-1]

    x = torch.randn(4, 3, generator=seeded(1))
    recorded, mean_square = with_kinetic_energy(velocity)
    end = integrate(recorded, x, num_steps=5, step=step)
    assert len(values) == evaluations
    torch.testing.assert_close(mean_square(), torch.stack(values).square().mean())
    assert torch.equal(end, integrate(velocity, x, num_steps=5, step=step))
    mean_square().backward()
    assert rate.grad is not None
    assert rate.grad != 0
