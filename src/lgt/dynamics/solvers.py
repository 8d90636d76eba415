"""Fixed-step solvers that arrive at t = 1 exactly; a solver knows no network.

Training and inference integrate through the same functions. All are differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lgt.device import sent
from lgt.dynamics.interpolant import draw_noise, expand_time
from lgt.dynamics.schedules import Schedule
from lgt.errors import InputError

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Maps states `[B, ...]` and times `[B]` to the drift `dx/dt`, of the states' shape."""

Step = Callable[[Velocity, Tensor, Tensor, Tensor], Tensor]
"""Advances states from times `[B]` to times `[B]`: `step(velocity, x, t, t_next)`."""


class Solver(Protocol):
    """A step that says what it is worth and what it costs."""

    order: ClassVar[int]
    """Order p: the error at t = 1 falls with `num_steps ** -p`."""
    evaluations: ClassVar[int]
    """Evaluations of the velocity in one step."""

    def __call__(self, velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """Advance states from times `[B]` to times `[B]`."""
        ...


class Euler:
    """Advance by `x + (t_next - t) v(x, t)`."""

    order: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1

    def __call__(self, velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """Advance states from times `[B]` to times `[B]`."""
        return x + expand_time(t_next - t, x) * velocity(x, t)


class Heun:
    """Advance by the mean of the drifts at both ends of the step."""

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def __call__(self, velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """Advance states from times `[B]` to times `[B]`."""
        dt = expand_time(t_next - t, x)
        drift = velocity(x, t)
        return x + 0.5 * dt * (drift + velocity(x + dt * drift, t_next))


euler_step, heun_step = Euler(), Heun()
SOLVERS: dict[str, Solver] = {"euler": euler_step, "heun": heun_step}
"""By the names of `training.solver`."""


def integrate(
    velocity: Velocity,
    x: Float[Tensor, "B ..."],
    *,
    num_steps: int,
    start: float | Float[Tensor, " B"] = 0.0,
    step: Step = euler_step,
    diffusion: Schedule | None = None,
    generator: Generator | None = None,
    is_noise_shared: bool = False,
    stop: int | None = None,
) -> Float[Tensor, "B ..."]:
    """Integrate `dx = v(x, t) dt + sigma(t) dW` from t = start to t = 1 on a uniform grid.

    The grid is `start + (1 - start) i / num_steps`, whose last point is exactly 1.

    Args:
        velocity: The drift v.
        x: State at `start`.
        num_steps: Number of steps, at least 1.
        start: Start time in [0, 1], one for all samples or one each.
        step: Integrator of the drift over one step.
        diffusion: sigma, evaluated at the start of each step; None is 0. The last step adds no
            noise, since no drift would follow that could remove what does not belong there.
        generator: CPU generator of the noise, so that one seed gives one result on any device.
        is_noise_shared: Draw the noise once for all samples, as for the frames of a video.
        stop: Steps of the grid to take, for a state on the way; None: all.

    Raises:
        InputError: If `num_steps` is below 1.

    Note:
        With a learned drift and `diffusion` this is the Euler-Maruyama scheme, called Langevin
        dynamics in this project. It samples no known equilibrium: the drift is not the gradient of
        a log-density.
    """
    if num_steps < 1:
        raise InputError(f"num_steps must be at least 1 (got {num_steps})")
    origin = torch.as_tensor(start, dtype=torch.float32).cpu()
    origin = origin.expand(x.shape[0]) if origin.ndim == 0 else origin
    # The host decides where noise is drawn: it keeps the times, and the device gets a copy.
    grid = torch.stack([origin + (1 - origin) * (i / num_steps) for i in range(num_steps + 1)])
    times = sent(grid, x.device)
    for i in range(num_steps if stop is None else stop):
        x = step(velocity, x, times[i], times[i + 1])
        if diffusion is not None and i + 1 < num_steps:
            scale = diffusion(grid[i]) * (grid[i + 1] - grid[i]).clamp(min=0).sqrt()
            if bool((scale > 0).any()):
                noise = draw_noise(x, generator, is_shared=is_noise_shared)
                x = x + expand_time(scale, x) * noise
    return x


def euler(velocity: Velocity, x: Tensor, *, num_steps: int, start: float | Tensor = 0.0) -> Tensor:
    """Integrate `dx = v(x, t) dt` by Euler steps from t = start to t = 1."""
    return integrate(velocity, x, num_steps=num_steps, start=start)


def heun(velocity: Velocity, x: Tensor, *, num_steps: int, start: float | Tensor = 0.0) -> Tensor:
    """Integrate `dx = v(x, t) dt` by Heun steps from t = start to t = 1."""
    return integrate(velocity, x, num_steps=num_steps, start=start, step=heun_step)


def euler_maruyama(
    velocity: Velocity,
    x: Tensor,
    *,
    num_steps: int,
    diffusion: Schedule,
    start: float | Tensor = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """Integrate `dx = v(x, t) dt + sigma(t) dW` from start to 1; no noise in the last step."""
    return integrate(
        velocity, x, num_steps=num_steps, start=start, diffusion=diffusion, generator=generator
    )


def with_kinetic_energy(velocity: Velocity) -> tuple[Velocity, Callable[[], Tensor]]:
    """Return a velocity that remembers its values, and a function that gives their mean square."""
    squares: list[Tensor] = []

    def recorded(x: Tensor, t: Tensor) -> Tensor:
        drift = velocity(x, t)
        squares.append(drift.float().square().mean())
        return drift

    return recorded, lambda: torch.stack(squares).mean()
