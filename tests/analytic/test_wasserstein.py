"""Sliced Wasserstein distances equal their closed forms: shifts, scalings and Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from lgt.energy import (
    PatchSWD,
    random_directions,
    sliced_wasserstein_sq,
    wasserstein_sq_1d,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("dim", [2, 9, 36])
def test_a_shift_costs_its_square_over_the_dimension(dim: int) -> None:
    """(theta . s)^2 exactly for each direction, |s|^2 / D on average: 3 dimensions."""
    x = torch.randn(200, dim, generator=seeded(1), dtype=torch.float64)
    shift = torch.randn(dim, generator=seeded(2), dtype=torch.float64)
    theta = random_directions(dim, 20_000, seeded(3)).double()
    exact = (shift @ theta).square().mean()
    value = sliced_wasserstein_sq(x, x + shift, num_projections=20_000, generator=seeded(3))
    torch.testing.assert_close(value, exact)
    average = shift.square().sum() / dim
    assert value.item() == pytest.approx(average.item(), rel=4 * math.sqrt(2 / 20_000))


def test_a_scaling_costs_its_square_times_the_second_moment() -> None:
    """Clouds x and a x: (a - 1)^2 mean (theta . x)^2 for every direction, a > 0."""
    x = torch.randn(100, 5, generator=seeded(1), dtype=torch.float64)
    theta = random_directions(5, 64, seeded(3)).double()
    for factor in (0.2, 1.0, 3.0):
        value = sliced_wasserstein_sq(x, factor * x, generator=seeded(3))
        expected = (factor - 1) ** 2 * (x @ theta).square().mean()
        torch.testing.assert_close(value, expected)


def test_one_dimensional_gaussians() -> None:
    """(m_1 - m_2)^2 + (s_1 - s_2)^2, from exact quantiles: 4 pairs, sizes equal and not."""
    normal = torch.distributions.Normal(0.0, 1.0)
    cases = [
        (0.0, 1.0, 0.0, 1.0),
        (1.0, 1.0, -1.0, 1.0),
        (0.0, 1.0, 0.0, 3.0),
        (2.0, 0.5, 0.0, 2.0),
    ]
    for m_1, s_1, m_2, s_2 in cases:
        for size in (20_000, 40_000, 30_000):
            grid_x = normal.icdf((torch.arange(20_000).double() + 0.5) / 20_000)
            grid_y = normal.icdf((torch.arange(size).double() + 0.5) / size)
            value = wasserstein_sq_1d(m_1 + s_1 * grid_x, m_2 + s_2 * grid_y)
            expected = (m_1 - m_2) ** 2 + (s_1 - s_2) ** 2
            assert value.item() == pytest.approx(expected, rel=2e-3, abs=1e-4)


def test_isotropic_gaussian_clouds() -> None:
    """N(0, a^2 I) and N(m, b^2 I) in 6 dimensions: |m|^2 / D + (a - b)^2, in 500 directions."""
    mean = torch.tensor([1.0, -1.0, 0.5, 0.0, 2.0, 0.3])
    x = 1.0 * torch.randn(8_000, 6, generator=seeded(1))
    y = 2.0 * torch.randn(8_000, 6, generator=seeded(2)) + mean
    value = sliced_wasserstein_sq(x, y, num_projections=500, generator=seeded(3))
    expected = mean.square().sum().item() / 6 + 1.0
    assert value.item() == pytest.approx(expected, rel=0.06)


def test_anisotropic_gaussian_clouds_direction_by_direction() -> None:
    """Any covariances: squared difference of the projected deviations, in 40 directions."""
    mixes = torch.randn(2, 4, 4, generator=seeded(1))
    clouds = torch.randn(2, 30_000, 4, generator=seeded(2)) @ mixes
    theta = random_directions(4, 40, seeded(3))
    values = wasserstein_sq_1d((clouds[0] @ theta).T, (clouds[1] @ theta).T)
    deviations = (mixes @ theta).norm(dim=1)  # theta^T M^T M theta
    expected = (deviations[0] - deviations[1]).abs()
    torch.testing.assert_close(values.sqrt(), expected, rtol=0, atol=0.04)


def test_patches_of_white_noise_differ_by_their_deviation() -> None:
    """White-noise latents of deviations 1 and 1.5: (0.5)^2 in every direction of 36."""
    x = torch.randn(1, 6, 4, 32, 32, generator=seeded(1))
    works = 1.5 * torch.randn(1, 6, 4, 32, 32, generator=seeded(2))
    value = PatchSWD(patch_size=3, num_projections=128)(x, works, seeded(3))
    assert value.item() == pytest.approx(0.25, rel=0.03)


def test_the_estimate_of_equal_laws_falls_with_the_sample() -> None:
    """Two samples of one law: the bias is small and falls about as 1 / N."""

    def bias(count: int) -> float:
        clouds = torch.randn(2, count, 8, generator=seeded(count))
        return sliced_wasserstein_sq(*clouds, num_projections=200, generator=seeded(1)).item()

    small, large = bias(100), bias(10_000)
    assert large < 1e-3
    assert 20 < small / large < 200
