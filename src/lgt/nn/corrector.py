"""Corrector: what some steps down the energy would change of an end state, learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.nn.blocks import EdgeConv2d, group_norm


class Corrector(nn.Module):
    """Style blocks at full resolution behind the velocity, that see both ends of the path.

    Descent of the energy on the latents of one picture (:mod:`lgt.energy.descent`) changes it where
    it stands: grain goes, daubs meet at edges, darks are deepened. Much of that follows from what
    is near, so that few blocks learn it from few pictures, while all other weights stay as they
    are. It begins as 0.

    Args:
        latent_channels: Channels of the latents.
        width: Channels of the blocks, a multiple of 8.
        blocks: Decoder blocks.

    References:
        Song et al., Score-Based Generative Modeling through SDEs, 2021, section 4.2,
        https://arxiv.org/abs/2011.13456 (predictor and corrector); Johnson et al., Perceptual
        Losses for Real-Time Style Transfer, 2016, https://arxiv.org/abs/1603.08155 (a network in
        the place of a descent).
    """

    def __init__(self, latent_channels: int, width: int, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.conv_in = EdgeConv2d(2 * latent_channels, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm_out = group_norm(width)
        self.conv_out = EdgeConv2d(width, latent_channels)
        nn.init.zeros_(self.conv_out.weight)
        torch.nn.init.constant_(self.conv_out.bias, 0.0)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        x_1: Float[Tensor, "B C H W"],
        time: Float[Tensor, "B T"],
        parameters: Sequence[Tensor],
        run: Callable[..., Tensor] = lambda block, *inputs: block(*inputs),
    ) -> Float[Tensor, "B C H W"]:
        """Return what is to be added to the end state `x_1` that the state `x` leads to.

        Args:
            x: The state.
            x_1: Where its velocity leads in one step.
            time: Of the state, as :func:`lgt.nn.blocks.activated` gives it.
            parameters: Style parameters of each block.
            run: Calls a block.
        """
        h = self.conv_in(torch.cat([x, x_1], dim=1))
        for block, own in zip(self.blocks, parameters, strict=True):
            h = run(block, h, time, own)
        out: Tensor = self.conv_out(F.silu(self.norm_out(h)))
        return out
