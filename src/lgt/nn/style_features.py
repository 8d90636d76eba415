"""StyleFeatures: a small network that learns to tell styles apart, patch by patch."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.nn.blocks import EdgeConv2d


class StyleFeatures(nn.Module):
    """Four plain convolutions over latents, and a style classifier at every position.

    Once trained, its activations are where the distributions of two styles differ most; the style
    energy compares them. Random projections of raw patches are all nearly Gaussian, by the central
    limit theorem, and tell styles apart far worse.

    Args:
        latent_channels: Channels of the latents.
        num_styles: Number of styles.
        width: Channels of the first two layers; the last two, at half resolution, have twice that.
    """

    def __init__(self, latent_channels: int, num_styles: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                EdgeConv2d(latent_channels, width),
                EdgeConv2d(width, width),
                EdgeConv2d(width, 2 * width, stride=2),
                EdgeConv2d(2 * width, 2 * width),
            ]
        )
        self.classifier = nn.Conv2d(2 * width, num_styles, 1)

    def features(self, x: Float[Tensor, "B C H W"]) -> list[Tensor]:
        """Return the activations of all layers but the first, shallow to deep."""
        activations = []
        for layer in self.layers:
            x = F.silu(layer(x))
            activations.append(x)
        return activations[1:]

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B S h w"]:
        """Return the logits of each style at every position of the last layer."""
        logits: Tensor = self.classifier(F.dropout2d(self.features(x)[-1], 0.2, self.training))
        return logits
