"""Look at a network during training: does the style label matter, what do outputs look like."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lgt.config.schema import Config
from lgt.nn import LGTUNet
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import sample, sampling_of


def outputs_of_styles(
    network: LGTUNet,
    x_src: Float[Tensor, "B C H W"],
    source_style_id: Tensor,
    config: Config,
    *,
    seed: int = 0,
) -> Float[Tensor, "S B C H W"]:
    """Give every source every style, without late noise, from the same start noise.

    Args:
        network: The velocity field.
        x_src: Scaled source latents.
        source_style_id: Their styles.
        config: Start, solver and guidance.
        seed: Of the start noise, if the start is noised.
    """
    training = config.training
    num_steps = 1 if training.random_path else training.ode_integration_steps
    sampler = Sampler.of(config).changed(num_steps=num_steps)
    outputs = []
    for style_id in range(network.num_styles):
        outputs.append(
            sample(
                network,
                x_src,
                torch.full_like(source_style_id, style_id),
                source_style_id,
                **sampling_of(sampler) | {"diffusion": None},
                generator=torch.Generator().manual_seed(seed),
            )
        )
    return torch.stack(outputs)


def id_swap_distance(outputs: Float[Tensor, "S B C H W"]) -> float:
    """Return the mean |difference| between outputs of one source for two styles, in latent units.

    The least over all pairs of styles: two labels that give one picture are a collapse, too. With a
    single style there is nothing to compare, and the result is infinite.
    """
    count = len(outputs)
    distances = [
        float((outputs[i] - outputs[j]).abs().mean())
        for i in range(count)
        for j in range(i + 1, count)
    ]
    return min(distances, default=float("inf"))
