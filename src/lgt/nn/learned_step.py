"""LearnedStep: where a descent goes from a state, told the gradient there."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.nn.blocks import EdgeConv2d, group_norm
from lgt.nn.packaged import read_network

ADVICE = "install lgt again, or give a folder that scripts/teach_learned_step.py wrote"


class StepBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip, the first on what is normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.conv_1, self.conv_2 = EdgeConv2d(width, width), EdgeConv2d(width, width)
        nn.init.zeros_(self.conv_2.weight)
        if self.conv_2.bias is not None:
            nn.init.zeros_(self.conv_2.bias)

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D h w"]:
        """Refine features."""
        out: Tensor = x + self.conv_2(F.silu(self.conv_1(F.silu(self.norm(x)))))
        return out


class LearnedStep(nn.Module):
    """A step down an energy of pictures, in the place of an optimizer's.

    What an optimizer finds out by trying, how far to go where, it has learned from many descents:
    it sees the state, where that came from, and the gradient. The style is in the gradient alone,
    so one network serves all styles, blends, and styles that it has never seen. It begins as 0.

    Args:
        latent_channels: Channels of the latents.
        width: Of the blocks, a multiple of 8.
        num_blocks: Residual blocks, at full resolution.
        backbones: Image networks whose gradients it knows, as `loss.backbones` names them.
        num_strides: Steps that it was taught to take, one after the other.

    References:
        Andrychowicz et al., Learning to learn by gradient descent by gradient descent, 2016,
        https://arxiv.org/abs/1606.04474; Adler and Öktem, Solving ill-posed inverse problems using
        iterative deep neural networks, 2017, https://arxiv.org/abs/1704.04058
    """

    def __init__(
        self,
        latent_channels: int = 4,
        width: int = 64,
        num_blocks: int = 6,
        backbones: tuple[str, ...] = ("efficientnet-lite0", "efficientnet-lite1"),
        num_strides: int = 3,
    ) -> None:
        super().__init__()
        self.latent_channels, self.backbones = latent_channels, backbones
        self.num_strides = num_strides
        self.conv_in = EdgeConv2d(3 * latent_channels + 1, width)
        self.blocks = nn.Sequential(*[StepBlock(width) for _ in range(num_blocks)])
        self.conv_out = EdgeConv2d(width, latent_channels)
        nn.init.zeros_(self.conv_out.weight)
        if self.conv_out.bias is not None:
            nn.init.zeros_(self.conv_out.bias)

    def forward(
        self,
        x_src: Float[Tensor, "B C h w"],
        x: Float[Tensor, "B C h w"],
        gradient: Float[Tensor, "B C h w"],
    ) -> Float[Tensor, "B C h w"]:
        """Return what is to be added to the states, in scaled latents.

        Args:
            x_src: The sources, scaled latents.
            x: The states.
            gradient: Of an energy that is a mean over each picture, by the latents of its state.
        """
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
        # Of a mean over the picture: it falls with the area, which is not the step's business.
        steepness = 0.5 * (size * gradient[0, 0].numel()).log() - 1
        seen = [x_src, x, gradient / size, steepness.expand(-1, 1, *x.shape[2:])]
        h = self.blocks(self.conv_in(torch.cat(seen, 1)))
        change: Tensor = self.conv_out(F.silu(h))
        return change

    @property
    def sizes(self) -> dict[str, Any]:
        """Return what it is built from."""
        return {
            "latent_channels": self.latent_channels,
            "width": self.conv_in.out_channels,
            "num_blocks": len(self.blocks),
            "backbones": list(self.backbones),
            "num_strides": self.num_strides,
        }


def load_learned_step(folder: Path | None = None) -> LearnedStep:
    """Load a frozen step: the one inside this package, or of a folder.

    Args:
        folder: As `scripts/teach_learned_step.py` writes it; None: the package's own.

    Raises:
        InputError: The folder does not hold one.
    """
    if folder is None:
        with as_file(files("lgt") / "assets" / "step") as packaged:
            return load_learned_step(packaged)
    return read_network(folder, "learned step", ADVICE, _built)


def _built(sizes: Mapping[str, Any]) -> LearnedStep:
    names = "latent_channels", "width", "num_blocks", "num_strides"
    plain = {name: int(sizes[name]) for name in names}
    return LearnedStep(**plain, backbones=tuple(map(str, sizes["backbones"])))
