"""Convolutions whose slope is bounded, several of them side by side in one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lgt.exact import exact_matmul

FIRST_ITERATIONS = 15
"""Of a new convolution; later ones follow a weight that moves little."""


class SpectralUnit(nn.Module):
    """Divide each group's kernels by their largest singular value, a parametrisation.

    What :func:`torch.nn.utils.parametrizations.spectral_norm` does for a single matrix: one power
    iteration at each evaluation in training, none in evaluation.

    Args:
        weight: Of the convolution, `[G D, C, k, k]`.
        groups: G.

    References:
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018,
        https://arxiv.org/abs/1802.05957
    """

    def __init__(self, weight: Tensor, groups: int) -> None:
        super().__init__()
        self.groups = groups
        matrices = self._matrices(weight.detach())
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", F.normalize(torch.randn(*matrices.shape[:2], 1), dim=1))
        self.register_buffer("right", F.normalize(torch.randn(groups, matrices.shape[2], 1), dim=1))
        for _ in range(FIRST_ITERATIONS):
            self._follow(matrices)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with slopes of at most 1."""
        matrices = self._matrices(weight)
        if self.training:
            self._follow(matrices.detach())
        slope = (self.left * exact_matmul(matrices, self.right)).sum(1, keepdim=True)
        return (matrices / slope).reshape(weight.shape)

    def _matrices(self, weight: Tensor) -> Float[Tensor, "G D N"]:
        return weight.reshape(self.groups, len(weight) // self.groups, -1)

    def _follow(self, matrices: Float[Tensor, "G D N"]) -> None:
        """Take one step of power iteration."""
        with torch.no_grad():
            self.left = F.normalize(exact_matmul(matrices, self.right), dim=1)
            self.right = F.normalize(exact_matmul(matrices.mT, self.left), dim=1)


def bounded(convolution: nn.Conv2d) -> nn.Conv2d:
    """Bound the slope of each group of a convolution by 1."""
    unit = SpectralUnit(convolution.weight, convolution.groups)
    parametrize.register_parametrization(convolution, "weight", unit)
    return convolution
