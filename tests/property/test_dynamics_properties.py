"""Invariants of solvers and fields, each over 50 random cases (see the profile in conftest.py)."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from lgt.dynamics import (
    constant,
    decaying_guidance,
    euler_step,
    guided,
    heun_step,
    integrate,
    interpolant_velocity,
    interpolate,
    start_state,
    temperature,
)
from lgt.dynamics.solvers import Step, Velocity

seeds = st.integers(0, 2**31)
times = st.floats(0, 1, width=32)
step_counts = st.integers(1, 40)
steps = st.sampled_from([euler_step, heun_step])


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def doubles(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def wave(x: Tensor, t: Tensor) -> Tensor:
    """Return a smooth drift that depends on state and time."""
    return torch.sin(x) + torch.cos(3 * t.double())[:, None]


@given(st.lists(times, min_size=1, max_size=5), step_counts)
def test_every_grid_ends_at_exactly_one(starts: list[float], num_steps: int) -> None:
    """From any start times: first the start, last 1 to the bit, never backwards, evenly spaced."""
    start = torch.tensor(starts)
    ends: list[tuple[Tensor, Tensor]] = []

    def step(velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        ends.append((t, t_next))
        return x

    integrate(wave, torch.zeros(len(starts), 1), num_steps=num_steps, start=start, step=step)
    assert len(ends) == num_steps
    assert torch.equal(ends[0][0], start)
    assert torch.equal(ends[-1][1], torch.ones(len(starts)))
    lengths = torch.stack([t_next - t for t, t_next in ends])
    assert (lengths >= 0).all()
    torch.testing.assert_close(
        lengths, ((1 - start) / num_steps).expand_as(lengths), atol=2e-7, rtol=0
    )


@given(seeds, st.integers(2, 16), st.data(), steps)
def test_a_path_can_be_resumed_on_its_grid(
    seed: int, num_steps: int, data: st.DataObject, step: Step
) -> None:
    """Starting at a state of the path, at its time, with the steps that remain, ends the same."""
    done = data.draw(st.integers(1, num_steps - 1))
    x = doubles(seed, 2, 3)
    states: list[Tensor] = []

    def recorded(velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        states.append(x)
        return step(velocity, x, t, t_next)

    end = integrate(wave, x, num_steps=num_steps, step=recorded)
    resumed = integrate(
        wave, states[done], num_steps=num_steps - done, start=done / num_steps, step=step
    )
    torch.testing.assert_close(resumed, end, atol=1e-5, rtol=0)


@given(seeds, times, step_counts, steps)
def test_a_later_start_is_a_slower_field(
    seed: int, start: float, num_steps: int, step: Step
) -> None:
    """Without time dependence, [s, 1] under v equals [0, 1] under (1 - s) v."""
    x = doubles(seed, 2, 3)
    late = integrate(lambda x, _: torch.sin(x), x, num_steps=num_steps, start=start, step=step)
    slow = integrate(lambda x, _: (1 - start) * torch.sin(x), x, num_steps=num_steps, step=step)
    torch.testing.assert_close(late, slow, atol=1e-5, rtol=0)


@given(seeds, step_counts, times, steps)
def test_samples_are_integrated_apart(seed: int, num_steps: int, start: float, step: Step) -> None:
    """A batch with start times of its own for each sample equals single integrations."""
    x, t = doubles(seed, 3, 2), torch.tensor([0.0, start, 1.0])
    together = integrate(wave, x, num_steps=num_steps, start=t, step=step)
    for i in range(3):
        alone = integrate(wave, x[i : i + 1], num_steps=num_steps, start=float(t[i]), step=step)
        torch.testing.assert_close(together[i : i + 1], alone)
    assert torch.equal(together[2], x[2])  # nothing remains from t = 1


@given(seeds, step_counts, st.floats(-3, 3), steps)
def test_a_linear_field_gives_a_linear_map(
    seed: int, num_steps: int, factor: float, step: Step
) -> None:
    """End of x + a y = end of x + a (end of y)."""
    matrix = 0.5 * doubles(seed + 1, 3, 3)
    x, y = doubles(seed, 2, 4, 3)

    def end(x: Tensor) -> Tensor:
        return integrate(
            lambda x, t: x @ matrix * (1 + t.double()[:, None]), x, num_steps=num_steps, step=step
        )

    torch.testing.assert_close(end(x + factor * y), end(x) + factor * end(y))


@given(seeds, step_counts, times, times, st.floats(0, 5))
def test_noise_is_the_sum_of_the_documented_kicks(
    seed: int, num_steps: int, start: float, threshold: float, sigma: float
) -> None:
    """Without drift: sum of sigma(t_i) sqrt(dt) xi_i over all steps but the last, replayed."""
    x = torch.zeros(2, 3)
    end = integrate(
        lambda x, _: torch.zeros_like(x),
        x,
        num_steps=num_steps,
        start=start,
        diffusion=temperature(sigma, threshold),
        generator=seeded(seed),
    )
    generator, expected = seeded(seed), torch.zeros(2, 3)
    origin = torch.tensor(start)
    for i in range(num_steps - 1):
        t = origin + (1 - origin) * (i / num_steps)
        if t >= threshold and sigma > 0 and start < 1:
            length = (1 - start) / num_steps
            expected += sigma * length**0.5 * torch.randn(2, 3, generator=generator)
    torch.testing.assert_close(end, expected, atol=2e-3, rtol=1e-3)


@given(seeds, times, st.floats(0, 8))
def test_guidance_is_affine_in_its_scale(seed: int, t: float, scale: float) -> None:
    """s = 0, 1 and any s lie on one line, at the decayed scale of the time."""
    x, time = doubles(seed, 2, 3), torch.full((2,), t)
    both = doubles(seed + 1, 4, 3)
    conditional, unconditional = both.chunk(2)
    value = guided(lambda _x, _t: both, decaying_guidance(scale))(x, time)
    s = 1 + (scale - 1) * (1 - t)
    expected = unconditional + s * (conditional - unconditional)
    torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)
    least, most = sorted((1.0, scale))
    decayed = float(decaying_guidance(scale)(time)[0])
    assert least - 1e-6 <= decayed <= most + 1e-6


@given(seeds, times)
def test_interpolant_is_its_own_straight_path(seed: int, t: float) -> None:
    """x_t + (1 - t) v = x_1 and x_t - t v = x_0; one solver step from t lands on x_1."""
    x_0, x_1 = doubles(seed, 2, 3, 4)
    velocity, x_t = interpolant_velocity(x_0, x_1), interpolate(x_0, x_1, t)
    torch.testing.assert_close(x_t - t * velocity, x_0, atol=1e-6, rtol=0)
    end = integrate(lambda _x, _t: velocity, x_t, num_steps=1, start=t)
    torch.testing.assert_close(end, x_1, atol=1e-6, rtol=0)


@given(seeds, times)
def test_start_state_mixes_one_noise(seed: int, t: float) -> None:
    """One seed is one noise at every t: (1 - t) noise + t source."""
    x_src = torch.randn(2, 4, 3, 3, generator=seeded(seed + 1))
    noise = start_state(x_src, 0.0, seeded(seed))
    state = start_state(x_src, t, seeded(seed))
    torch.testing.assert_close(state, (1 - t) * noise + t * x_src, atol=1e-5, rtol=1e-5)


@given(times, times, st.floats(0, 5, width=32))
def test_schedules_stay_in_their_range(t: float, threshold: float, value: float) -> None:
    """Temperature is 0 or sigma by the side of the threshold; a constant is constant."""
    time = torch.tensor([t])
    assert float(temperature(value, threshold)(time)) == (value if t >= threshold else 0)
    assert float(constant(value)(time)) == value
