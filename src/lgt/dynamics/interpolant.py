"""The straight path between a start state and an end state."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lgt.device import sent


def expand_time(t: float | Tensor, like: Tensor) -> Tensor:
    """Give `t` (one number, or one each) the shape `[B, 1, ...]` that broadcasts over `like`."""
    time = sent(torch.as_tensor(t, dtype=like.dtype), like.device)
    if time.ndim == 0:
        time = time.expand(like.shape[0])
    return time.reshape(-1, *([1] * (like.ndim - 1)))


def interpolate(
    x_0: Float[Tensor, "B ..."], x_1: Float[Tensor, "B ..."], t: float | Float[Tensor, " B"]
) -> Float[Tensor, "B ..."]:
    """Return `x_t = (1 - t) x_0 + t x_1`.

    Args:
        x_0: State at t = 0 (noise, in the documented formulation).
        x_1: State at t = 1 (the source latent), same shape.
        t: Time in [0, 1], one for all samples or one each.
    """
    time = expand_time(t, x_0)
    return (1 - time) * x_0 + time * x_1


def interpolant_velocity(
    x_0: Float[Tensor, "B ..."], x_1: Float[Tensor, "B ..."]
) -> Float[Tensor, "B ..."]:
    """Return `d x_t / dt = x_1 - x_0`, the regression target of flow matching.

    References:
        Lipman et al., Flow Matching for Generative Modeling, 2023, eq. 23 with sigma_min = 0,
        https://arxiv.org/abs/2210.02747
    """
    return x_1 - x_0


def draw_noise(
    like: Float[Tensor, "B ..."], generator: Generator | None, *, is_shared: bool = False
) -> Float[Tensor, "B ..."]:
    """Return standard normal noise in the shape, type and place of `like`.

    Args:
        like: Samples to draw noise for.
        generator: CPU generator; the noise is drawn there in float32 and moved.
        is_shared: Give all samples the noise that a single one would get.
    """
    shape = (1, *like.shape[1:]) if is_shared else like.shape
    noise = torch.randn(shape, generator=generator, dtype=torch.float32)
    return sent(noise.to(like.dtype), like.device).expand_as(like)


def start_state(
    x_src: Float[Tensor, "B ..."],
    t: float | Float[Tensor, " B"],
    generator: Generator | None,
    *,
    is_noise_shared: bool = False,
) -> Float[Tensor, "B ..."]:
    """Return the partly noised source `(1 - t) noise + t x_src`; t = 0 is pure noise.

    Args:
        x_src: Scaled source latents.
        t: Start time in [0, 1].
        generator: CPU generator of the noise.
        is_noise_shared: Draw the noise once for all samples.
    """
    noise = draw_noise(x_src, generator, is_shared=is_noise_shared)
    return interpolate(noise, x_src, t)
