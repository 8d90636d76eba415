"""Measured orders of convergence: Euler 1, Heun 2, with and without time in the field."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lgt.dynamics import Velocity, euler_step, heun_step, integrate
from lgt.dynamics.solvers import Step

STEPS = (8, 16, 32, 64, 128)


def decay(x: Tensor, t: Tensor) -> Tensor:
    return -x


def decayed(x: Tensor, start: float) -> Tensor:
    return x * math.exp(start - 1)


def swing(x: Tensor, t: Tensor) -> Tensor:
    return x * torch.cos(3 * t.double() + 1)[:, None]


def swung(x: Tensor, start: float) -> Tensor:
    return x * math.exp((math.sin(4) - math.sin(3 * start + 1)) / 3)


def forced(x: Tensor, t: Tensor) -> Tensor:
    return torch.exp(2 * t.double())[:, None].expand_as(x)


def forced_end(x: Tensor, start: float) -> Tensor:
    return x + (math.exp(2) - math.exp(2 * start)) / 2


@pytest.mark.parametrize("step,order", [(euler_step, 1), (heun_step, 2)], ids=["euler", "heun"])
@pytest.mark.parametrize("start", [0.0, 0.4])
@pytest.mark.parametrize(
    "field,exact",
    [(decay, decayed), (swing, swung), (forced, forced_end)],
    ids=["decay", "swing", "forced"],
)
def test_order_of_convergence(
    field: Velocity, exact: Callable[[Tensor, float], Tensor], start: float, step: Step, order: int
) -> None:
    """The error falls as `num_steps ** -order`: 3 fields x 2 starts x 2 solvers x 5 step counts."""
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    end = exact(x, start)
    errors = [
        float((integrate(field, x, num_steps=n, start=start, step=step) - end).abs().max())
        for n in STEPS
    ]
    slope = -np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    print(f"order {slope:.3f}, errors {errors[0]:.2e} to {errors[-1]:.2e} over {len(STEPS)} grids")
    assert slope == pytest.approx(order, abs=0.12)


@pytest.mark.parametrize("num_steps", [1, 2, 8, 64])
def test_euler_and_heun_on_decay_are_their_polynomials(num_steps: int) -> None:
    """(1 - h)^n and (1 - h + h^2 / 2)^n, to rounding, for 4 step counts."""
    x, h = torch.ones(1, 1, dtype=torch.float64), 1 / num_steps
    euler = integrate(decay, x, num_steps=num_steps)
    heun = integrate(decay, x, num_steps=num_steps, step=heun_step)
    assert euler.item() == pytest.approx((1 - h) ** num_steps, rel=1e-12)
    assert heun.item() == pytest.approx((1 - h + h * h / 2) ** num_steps, rel=1e-12)


def test_heun_integrates_linear_time_dependence_exactly() -> None:
    """The trapezium rule is exact for dx/dt = a + b t; Euler misses b h / 2."""
    x = torch.zeros(1, 1, dtype=torch.float64)

    def field(x: Tensor, t: Tensor) -> Tensor:
        return (3 + 2 * t.double())[:, None].expand_as(x)

    assert integrate(field, x, num_steps=4, step=heun_step).item() == pytest.approx(4, rel=1e-12)
    assert integrate(field, x, num_steps=4).item() == pytest.approx(4 - 2 / 8, rel=1e-12)
