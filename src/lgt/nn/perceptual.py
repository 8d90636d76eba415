"""LatentPerceptualNetwork: what an image classifier sees in a picture, told from its latent."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.nn.blocks import EdgeConv2d
from lgt.nn.packaged import read_network

LAYERS = {
    "color_4": 96,
    "color_8": 40,
    "color_16": 112,
    "grey_4": 96,
    "grey_8": 40,
    "grey_16": 112,
}
"""Predicted layers and their channels. The number is the stride in pixels of the teacher's layer;
the 24 channels at stride 4 come as 2 x 2 groups, so that no layer is finer than the latent."""
COARSE = ("color_16", "grey_16")
CONTENT_LAYERS = ("grey_8", "grey_16")
ADVICE = "give a folder that scripts/train_perceptual.py wrote, or auto, or none"


class FeatureMaps(NamedTuple):
    """What the energies compare."""

    style: list[Tensor]
    """Maps `[B, C, h, w]` whose distributions the style energy matches."""
    content: list[Tensor]
    """Maps whose value at each position the content energy keeps."""
    edges: Tensor | None = None
    """Edge strength `[B, 1, H, W]`, of networks that see the picture."""
    outlines: Tensor | None = None
    """Edge strength of the picture at a quarter of its size."""
    slopes: Tensor | None = None
    """Gradient magnitude of the picture at half of its size."""
    shades: Tensor | None = None
    """Luminance of the picture at half of its size."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip, without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = EdgeConv2d(channels, channels), EdgeConv2d(channels, channels)
        nn.init.zeros_(self.conv_2.weight)
        if self.conv_2.bias is not None:
            nn.init.zeros_(self.conv_2.bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Refine features."""
        out: Tensor = x + self.conv_2(F.silu(self.conv_1(F.silu(x))))
        return out


class LatentPerceptualNetwork(nn.Module):
    """Predict the features of an image classifier from a scaled Stable Diffusion latent.

    The teacher, EfficientNet-Lite0 trained on ImageNet, looked at decoded latents twice: as they
    are (`color_*`), and as grey pictures of equal mean and contrast (`grey_*`), in which a change
    of the palette can not be seen. Each channel is scaled to mean 0 and deviation 1 over the
    training pictures.

    Args:
        width: Channels at the latent's resolution; twice as many at half of it.
        num_blocks: Residual blocks at each of the two resolutions.
        latent_channels: Channels of the latents.

    References:
        Johnson et al., Perceptual Losses for Real-Time Style Transfer, 2016,
        https://arxiv.org/abs/1603.08155 (features of a classifier as a loss);
        Tan and Le, EfficientNet, 2019, https://arxiv.org/abs/1905.11946 (the teacher)
    """

    num_branches = 2
    """Views of a picture: in colour and in grey."""

    def __init__(self, width: int = 64, num_blocks: int = 3, latent_channels: int = 4) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.conv_in = EdgeConv2d(latent_channels, width)
        self.fine = nn.Sequential(*[ResidualBlock(width) for _ in range(num_blocks)])
        self.down = EdgeConv2d(width, 2 * width, stride=2)
        self.coarse = nn.Sequential(*[ResidualBlock(2 * width) for _ in range(num_blocks)])
        self.heads = nn.ModuleDict(
            {
                name: nn.Conv2d(2 * width if name in COARSE else width, channels, 1)
                for name, channels in LAYERS.items()
            }
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> dict[str, Tensor]:
        """Return all layers: strides 4 and 8 as `[B, C, H, W]`, stride 16 at half of that."""
        fine = self.fine(self.conv_in(x))
        coarse = self.coarse(self.down(fine))
        return {
            name: head(F.silu(coarse if name in COARSE else fine))
            for name, head in self.heads.items()
        }

    def features(self, x: Float[Tensor, "B C H W"]) -> FeatureMaps:
        """Return all layers for the style, the coarser grey ones for the content."""
        maps = self(x)
        return FeatureMaps(list(maps.values()), [maps[name] for name in CONTENT_LAYERS])

    def content(self, x: Float[Tensor, "B C H W"]) -> FeatureMaps:
        """Return what is kept of sources: all layers come at once."""
        return self.features(x)


def load_perceptual_network(folder: Path | None = None) -> LatentPerceptualNetwork:
    """Load a frozen network: the one inside this package, or of a folder.

    Args:
        folder: Holds `config.json` and `model.safetensors`, as `scripts/train_perceptual.py`
            writes them; None: the package's own.

    Raises:
        InputError: The folder does not hold such a network.
    """
    if folder is None:
        with as_file(files("lgt") / "assets" / "perceptual") as packaged:
            return load_perceptual_network(packaged)
    return read_network(folder, "perceptual network", ADVICE, _built)


def _built(sizes: Mapping[str, Any]) -> LatentPerceptualNetwork:
    return LatentPerceptualNetwork(sizes["width"], sizes["num_blocks"], sizes["latent_channels"])
