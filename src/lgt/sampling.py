"""One path from a source latent to a stylised latent: start state, guidance, solver."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.dynamics import Schedule, guided, integrate, start_state
from lgt.dynamics.solvers import Step, euler_step
from lgt.errors import InputError
from lgt.nn import NULL_STYLE, LGTUNet

STARTS = ("source", "noised_source", "noise")


@torch.no_grad()
def sample(
    network: LGTUNet,
    x_src: Float[Tensor, "B C H W"],
    target_style_id: Int[Tensor, " B"],
    source_style_id: Int[Tensor, " B"] | None = None,
    *,
    num_steps: int = 20,
    step: Step = euler_step,
    start: str = "source",
    start_time: float = 0.0,
    diffusion: Schedule | None = None,
    guidance: Schedule | None = None,
    generator: Generator | None = None,
) -> Float[Tensor, "B C H W"]:
    """Integrate the network's velocity from the start state to t = 1.

    Args:
        network: The velocity field, in evaluation mode.
        x_src: Scaled source latents.
        target_style_id: Style to give each.
        source_style_id: Style of each source, if it is known.
        num_steps: Solver steps.
        step: Drift integrator.
        start: `source` (the source at t = 0), `noised_source` (at `start_time`) or `noise`.
        start_time: Start time of `noised_source`.
        diffusion: sigma(t) of the late phase; None is none.
        guidance: Guidance scale s(t); None is off, with one evaluation of the network less.
        generator: CPU generator of start and late noise.
    """
    sources = x_src if network.condition_on_source else None
    if source_style_id is None:
        source_style_id = torch.full_like(target_style_id, NULL_STYLE)
    if guidance is None:
        condition = network.condition(target_style_id, source_style_id, sources)
    else:
        null = torch.full_like(target_style_id, NULL_STYLE)
        condition = network.condition(
            torch.cat([target_style_id, null]),
            torch.cat([source_style_id, source_style_id]),
            None if sources is None else torch.cat([sources, sources]),
        )

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return network.velocity(x, t, condition)

    if start not in STARTS:
        raise InputError(f"start must be one of {', '.join(STARTS)} (got '{start}')")
    t_start = start_time if start == "noised_source" else 0.0
    x = x_src if start == "source" else start_state(x_src, t_start, generator)
    return integrate(
        velocity if guidance is None else guided(velocity, guidance),
        x,
        num_steps=num_steps,
        start=t_start,
        step=step,
        diffusion=diffusion,
        generator=generator,
    )
