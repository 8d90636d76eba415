"""The noise is right: Ornstein-Uhlenbeck moments and Kolmogorov-Smirnov tests, at fixed seeds."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Generator, Tensor

from lgt.dynamics import constant, euler_maruyama, integrate, temperature

COUNT = 50_000


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def euler_maruyama_variance(rate: float, sigmas: list[float], start_variance: float) -> float:
    """Return the variance after the scheme's steps on dx = -rate x dt + sigma dW.

    Each step multiplies it by (1 - rate h)^2; each but the last then adds sigma^2 h.
    """
    h, variance = 1 / len(sigmas), start_variance
    for i, sigma in enumerate(sigmas):
        variance = (1 - rate * h) ** 2 * variance
        if i + 1 < len(sigmas):
            variance += sigma**2 * h
    return variance


@pytest.mark.parametrize("threshold", [0.0, 0.75])
@pytest.mark.parametrize("rate,sigma,steps", [(1.0, 0.5, 5), (3.0, 2.0, 20), (-1.0, 0.1, 8)])
def test_ornstein_uhlenbeck_moments(
    rate: float, sigma: float, steps: int, threshold: float
) -> None:
    """Mean and variance equal the scheme's own closed form: 3 processes x 2 thresholds."""
    x = 1.5 + 0.3 * torch.randn(COUNT, 1, generator=seeded(1), dtype=torch.float64)
    end = euler_maruyama(
        lambda x, _: -rate * x,
        x,
        num_steps=steps,
        diffusion=temperature(sigma, threshold),
        generator=seeded(2),
    )
    sigmas = [sigma if i / steps >= threshold else 0.0 for i in range(steps)]
    variance = euler_maruyama_variance(rate, sigmas, float(x.var()))
    assert end.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / COUNT))
    mean = (1 - rate / steps) ** steps * x.mean().item()
    assert end.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / COUNT))
    print(f"{COUNT} paths of {steps} steps checked")


def test_variance_approaches_the_exact_process() -> None:
    """With many steps: e^-2r v + sigma^2 (1 - e^-2r) / (2 r), the Ornstein-Uhlenbeck variance."""
    rate, sigma, start = 2.0, 1.0, 0.25
    exact = math.exp(-2 * rate) * start + sigma**2 * (1 - math.exp(-2 * rate)) / (2 * rate)
    fine = euler_maruyama_variance(rate, [sigma] * 4000, start)
    assert fine == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("steps", [2, 5])
def test_noise_is_normal(steps: int) -> None:
    """KS test of a driftless path's end against N(0, sigma^2 (n - 1) / n): 50000 samples each."""
    sigma = 0.7
    end = euler_maruyama(
        lambda x, _: torch.zeros_like(x),
        torch.zeros(COUNT),
        num_steps=steps,
        diffusion=constant(sigma),
        generator=seeded(3),
    )
    deviation = sigma * math.sqrt((steps - 1) / steps)
    assert scipy.stats.kstest(end.numpy(), "norm", args=(0, deviation)).pvalue > 0.05
    wrong = scipy.stats.kstest(end.numpy(), "norm", args=(0, sigma))  # with the last kick
    assert wrong.pvalue < 1e-6


def test_noise_is_independent_over_steps_samples_and_pixels() -> None:
    """Correlations of increments vanish: between steps, samples and neighbours."""
    states: list[Tensor] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        states.append(x)
        return torch.zeros_like(x)

    integrate(
        velocity,
        torch.zeros(40, 4, 16, 16),
        num_steps=6,
        diffusion=constant(1.0),
        generator=seeded(4),
    )
    kicks = torch.stack(states).diff(dim=0).flatten(2)  # [5 kicks, 40 samples, 1024 values]
    assert len(kicks) == 5
    for axis, limit in ((0, 0.03), (1, 0.02)):
        rows = kicks.movedim(axis, 0).flatten(1)
        correlation = torch.corrcoef(rows) - torch.eye(len(rows))
        assert correlation.abs().max() < 5 / math.sqrt(rows.shape[1])
        assert correlation.abs().mean() < limit
    neighbours = torch.corrcoef(torch.stack([kicks[..., 1:].flatten(), kicks[..., :-1].flatten()]))
    assert abs(neighbours[0, 1].item()) < 0.01


def test_the_drift_removes_noise_that_is_followed_by_a_step() -> None:
    """With the drift -x / (1 - t), whose last step lands on 0, no noise is left at t = 1."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return -x / (1 - t[:, None])

    end = euler_maruyama(
        velocity, torch.randn(100, 3), num_steps=8, diffusion=constant(1.0), generator=seeded(5)
    )
    assert end.abs().max() < 1e-5
