"""One path from a source latent to a stylised latent: start state, guidance, solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.dynamics import (
    SOLVERS,
    Schedule,
    Velocity,
    constant,
    decaying_guidance,
    guided,
    integrate,
    repelled,
    start_state,
    temperature,
)
from lgt.dynamics.solvers import Step, euler_step
from lgt.errors import InputError
from lgt.nn import NULL_STYLE, Condition, LGTUNet
from lgt.paint.sampler import Sampler

Field = Callable[[Tensor, Tensor, Condition], Tensor]
"""Maps states, times and a condition to velocities, as `LGTUNet.velocity` does."""

STARTS = ("source", "noised_source", "noise")


@torch.no_grad()
def sample(
    network: LGTUNet,
    x_src: Float[Tensor, "B C H W"],
    target_style: Int[Tensor, " B"] | Float[Tensor, "B S"],
    source_style_id: Int[Tensor, " B"] | None = None,
    *,
    num_steps: int = 20,
    step: Step = euler_step,
    start: str = "source",
    start_time: float = 0.0,
    diffusion: Schedule | None = None,
    guidance: Schedule | None = None,
    rescale: float = 0.0,
    repulsion: float = 0.0,
    repelled_style_id: Int[Tensor, " B"] | None = None,
    field: Field | None = None,
    generator: Generator | None = None,
    is_noise_shared: bool = False,
) -> Float[Tensor, "B C H W"]:
    """Integrate the network's velocity from the start state to t = 1.

    Args:
        network: The velocity field, in evaluation mode.
        x_src: Scaled source latents.
        target_style: Style to give each: ids, or embeddings (`LGTUNet.blend`).
        source_style_id: Style of each source, if it is known.
        num_steps: Solver steps.
        step: Drift integrator.
        start: `source` (the source at t = 0), `noised_source` (at `start_time`) or `noise`.
        start_time: Start time of `noised_source`.
        diffusion: sigma(t) of the late phase; None is none.
        guidance: Guidance scale s(t); None is off, with one evaluation of the network less.
        rescale: Share by which a guided velocity is brought back to the conditional's spread.
        repulsion: Strength r of `v + r (v - v_repelled)`; 0 is off, with one evaluation less.
        repelled_style_id: Style of `v_repelled`, for each; needed if `repulsion` is not 0.
        field: Evaluates the velocity, in the place of `network.velocity`.
        generator: CPU generator of start and late noise.
        is_noise_shared: Draw the noise once for all of the batch.
    """
    sources = x_src if network.condition_on_source else None
    evaluate = network.velocity if field is None else field
    null = torch.full((len(x_src),), NULL_STYLE, device=target_style.device)
    if source_style_id is None:
        source_style_id = null
    if guidance is None:
        condition = network.condition(target_style, source_style_id, sources)
    else:
        is_embedded = target_style.is_floating_point()
        none = network.embed(null) if is_embedded else null
        condition = network.condition(
            torch.cat([target_style, none]),
            torch.cat([source_style_id, source_style_id]),
            None if sources is None else torch.cat([sources, sources]),
        )

    def conditioned(condition: Condition) -> Velocity:
        return lambda x, t: evaluate(x, t, condition)

    velocity = conditioned(condition)
    if guidance is not None:
        velocity = guided(velocity, guidance, rescale=rescale)
    if repulsion:
        if repelled_style_id is None:
            raise InputError("repulsion needs repelled_style_id, the style to move away from")
        own = network.condition(repelled_style_id, source_style_id, sources)
        velocity = repelled(velocity, conditioned(own), repulsion)

    if start not in STARTS:
        raise InputError(f"start must be one of {', '.join(STARTS)} (got '{start}')")
    t_start = start_time if start == "noised_source" else 0.0
    if start == "source":
        x = x_src
    else:
        x = start_state(x_src, t_start, generator, is_noise_shared=is_noise_shared)
    return integrate(
        velocity,
        x,
        num_steps=num_steps,
        start=t_start,
        step=step,
        diffusion=diffusion,
        generator=generator,
        is_noise_shared=is_noise_shared,
    )


def sampling_of(sampler: Sampler) -> dict[str, Any]:
    """Return the keyword arguments of :func:`sample` that a sampler decides."""
    return {
        "num_steps": sampler.num_steps,
        "step": SOLVERS[sampler.solver],
        "start": sampler.begins,
        "start_time": sampler.start_time,
        "diffusion": diffusion_of(sampler),
        "guidance": guidance_of(sampler),
        "rescale": sampler.cfg_rescale,
    }


def diffusion_of(sampler: Sampler) -> Schedule | None:
    """Return sigma(t), or None where it is zero (always, for the baseline)."""
    if sampler.objective == "ot_cfm" or sampler.temperature_lambda == 0:
        return None
    return temperature(sampler.temperature_lambda, sampler.temperature_threshold)


def guidance_of(sampler: Sampler) -> Schedule | None:
    """Return the guidance scale s(t), or None where guidance is off."""
    if not sampler.is_guided:
        return None
    scale = sampler.cfg_scale
    return decaying_guidance(scale) if sampler.cfg_decay else constant(scale)
