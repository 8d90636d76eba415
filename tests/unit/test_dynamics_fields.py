"""Schedules, guidance and the interpolant: values and shapes in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from lgt.dynamics import (
    Velocity,
    constant,
    decaying_guidance,
    guided,
    heun,
    interpolant_velocity,
    interpolate,
    start_state,
    temperature,
)
from lgt.dynamics.interpolant import expand_time


def linear_field(gains: Tensor) -> Velocity:
    """Return `v = gain x + t` with one gain a row, as of a network bound to two conditions."""
    return lambda x, t: gains[:, None] * x + t[:, None]


def test_temperature_is_a_step() -> None:
    """0 before the threshold, sigma at it and after, at 0.75 and its neighbours."""
    sigma = temperature(0.3, 0.75)
    below, above = torch.nextafter(torch.tensor([0.75, 0.75]), torch.tensor([0.0, 1.0]))
    times = torch.stack([torch.tensor(0.0), torch.tensor(0.25), torch.tensor(0.5), below])
    assert torch.equal(sigma(times), torch.zeros(4))
    late = torch.stack([torch.tensor(0.75), above, torch.tensor(1.0)])
    assert torch.equal(sigma(late), torch.full((3,), 0.3))
    assert sigma(late.double()).dtype == torch.float64


def test_temperature_of_threshold_zero_and_one() -> None:
    """0 is noise from the start; 1 is noise at the end alone, where solvers add none."""
    times = torch.tensor([0.0, 0.5, 0.999])
    assert torch.equal(temperature(2.0, 0.0)(times), torch.full((3,), 2.0))
    assert torch.equal(temperature(2.0, 1.0)(times), torch.zeros(3))


def test_decaying_guidance_falls_linearly_to_off() -> None:
    """From s at t = 0 to exactly 1 at t = 1, for scales above and below 1."""
    times = torch.tensor([0.0, 0.25, 0.5, 1.0])
    for scale in (0.0, 1.0, 2.0, 7.5):
        values = decaying_guidance(scale)(times)
        torch.testing.assert_close(values, scale + (1 - scale) * times)
        assert values[-1] == 1
    assert torch.equal(constant(2.5)(times), torch.full((4,), 2.5))


def test_guidance_follows_its_formula(generator: Generator) -> None:
    """`u + s (c - u)`: 0 is unconditional, 1 conditional, 2 goes as far again; 4 scales."""
    x, t = torch.randn(3, 2, generator=generator), torch.rand(3, generator=generator)
    gains = torch.tensor([1.0, 2, 3, -1, 0, 5])
    conditional = linear_field(gains[:3])(x, t)
    unconditional = linear_field(gains[3:])(x, t)
    for scale in (0.0, 1.0, 2.0, 3.5):
        value = guided(linear_field(gains), constant(scale))(x, t)
        expected = unconditional + scale * (conditional - unconditional)
        torch.testing.assert_close(value, expected)


def test_rescaled_guidance_has_the_spread_of_the_conditional_branch(generator: Generator) -> None:
    x, t = torch.randn(3, 50, generator=generator), torch.rand(3, generator=generator)
    field = linear_field(torch.tensor([1.0, 2, 3, -1, 0.5, 5]))
    conditional = linear_field(torch.tensor([1.0, 2, 3]))(x, t)
    plain = guided(field, constant(3.0))(x, t)
    whole = guided(field, constant(3.0), rescale=1.0)(x, t)
    torch.testing.assert_close(whole.std(1), conditional.std(1))
    half = guided(field, constant(3.0), rescale=0.5)(x, t)
    torch.testing.assert_close(half, (plain + whole) / 2)
    assert torch.equal(guided(field, constant(3.0), rescale=0.0)(x, t), plain)


def test_regression_guidance_of_one_is_the_conditional_branch(generator: Generator) -> None:
    """Scale 1 is off, up to rounding, wherever the unconditional branch points."""
    x, t = torch.randn(3, 2, generator=generator), torch.rand(3, generator=generator)
    gains = torch.tensor([1.0, 2, 3, 100, -100, 0])
    value = guided(linear_field(gains), constant(1.0))(x, t)
    torch.testing.assert_close(value, linear_field(gains[:3])(x, t), atol=1e-4, rtol=0)


def test_guidance_is_one_call_for_both_branches(generator: Generator) -> None:
    """One evaluation of 2 B states, conditional first, each half with the same states and times."""
    calls: list[tuple[Tensor, Tensor]] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        calls.append((x, t))
        return x

    x, t = torch.randn(3, 2, 4, 4, generator=generator), torch.rand(3, generator=generator)
    guided(velocity, constant(2.0))(x, t)
    assert len(calls) == 1
    assert torch.equal(calls[0][0], torch.cat([x, x]))
    assert torch.equal(calls[0][1], torch.cat([t, t]))


def test_the_scale_is_that_of_each_samples_time(generator: Generator) -> None:
    """Samples at different times are guided differently: at t = 1 not at all."""
    x, t = torch.randn(3, 2, generator=generator), torch.tensor([0.0, 0.5, 1.0])
    gains = torch.tensor([1.0, 1, 1, 0, 0, 0])
    value = guided(linear_field(gains), decaying_guidance(3.0))(x, t)
    scales = torch.tensor([3.0, 2.0, 1.0])
    torch.testing.assert_close(value, scales[:, None] * x + t[:, None])


def test_a_guided_velocity_is_a_velocity(generator: Generator) -> None:
    """It goes into any solver; without time dependence guidance scales the gain."""
    x = torch.randn(2, 3, generator=generator)

    def field(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([x[:2], torch.zeros_like(x[2:])])

    value = heun(guided(field, constant(2.0)), x, num_steps=64)
    torch.testing.assert_close(value, x * torch.tensor(2.0).exp(), rtol=1e-3, atol=0)


def test_interpolant_joins_its_ends(generator: Generator) -> None:
    """x_0 at 0, x_1 at 1, exactly; in between the weighted mean, for one time or one each."""
    x_0, x_1 = torch.randn(2, 3, 4, 5, 5, generator=generator).unbind()
    assert torch.equal(interpolate(x_0, x_1, 0.0), x_0)
    assert torch.equal(interpolate(x_0, x_1, 1.0), x_1)
    t = torch.tensor([0.0, 0.25, 1.0])
    expected = torch.stack([x_0[0], 0.75 * x_0[1] + 0.25 * x_1[1], x_1[2]])
    torch.testing.assert_close(interpolate(x_0, x_1, t), expected)


def test_interpolant_velocity_is_its_derivative(generator: Generator) -> None:
    """Equal to the difference quotient at three times."""
    x_0, x_1 = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64).unbind()
    for t in (0.1, 0.5, 0.9):
        quotient = (interpolate(x_0, x_1, t + 1e-3) - interpolate(x_0, x_1, t - 1e-3)) / 2e-3
        torch.testing.assert_close(interpolant_velocity(x_0, x_1), quotient)


def test_start_state_runs_from_noise_to_source(generator: Generator) -> None:
    """t = 0 pure unit noise, t = 1 the source itself, between them moments of the mixture."""
    x_src = torch.full((3, 20_000), 4.0)
    state = start_state(x_src, torch.tensor([0.0, 0.75, 1.0]), generator)
    torch.testing.assert_close(state.mean(1), torch.tensor([0.0, 3.0, 4.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(state.std(1), torch.tensor([1.0, 0.25, 0.0]), atol=0.02, rtol=0)
    assert torch.equal(state[2], x_src[2])
    first, again = (start_state(x_src, 0.3, Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 4, 5, 6)])
def test_times_broadcast_over_samples(shape: tuple[int, ...]) -> None:
    """A number or a vector becomes `[B, 1, ...]` of the state's dtype: 3 shapes."""
    like = torch.zeros(shape, dtype=torch.float64)
    for t in (0.5, torch.tensor(0.5), torch.tensor([0.5, 0.5, 0.5])):
        time = expand_time(t, like)
        assert time.shape == (3, *[1] * (len(shape) - 1))
        assert time.dtype == torch.float64
        assert (time == 0.5).all()
