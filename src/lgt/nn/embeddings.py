"""Embeddings of time and style."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

NULL_STYLE = -1
"""The style id that means "no style given": guidance's unconditional branch."""


class TimeEmbedding(nn.Module):
    """Map times in [0, 1] to vectors: sinusoids of `1000 t`, then a two-layer perceptron.

    Note:
        Without the factor 1000 the sinusoids' wavelengths (2 pi and up) exceed the unit interval,
        and most of the embedding is constant.

    References:
        Ho et al., Denoising Diffusion Probabilistic Models, 2020, appendix B,
        https://arxiv.org/abs/2006.11239
    """

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        exponents = torch.arange(dim // 2) / (dim // 2)
        self.register_buffer("frequencies", torch.exp(-math.log(1e4) * exponents), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Embed one time per sample."""
        angles = 1000.0 * t[:, None].float() * self.frequencies
        embedding: Tensor = self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))
        return embedding


class StyleEmbedding(nn.Module):
    """A table of one vector per style and one, the last row, for `NULL_STYLE`."""

    def __init__(self, num_styles: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_styles + 1, dim)

    def forward(self, style_id: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Embed one style id per sample, in [0, num_styles) or `NULL_STYLE`."""
        null_row = self.table.num_embeddings - 1
        # An id past the last style would read the null row; push it out of the table instead.
        row = torch.where(style_id == NULL_STYLE, null_row, style_id + (style_id >= null_row))
        embedding: Tensor = self.table(row)
        return embedding
