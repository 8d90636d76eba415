"""ST-LPIPS: perceptual distance that small shifts of a picture do not move."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PACKAGE = "stlpips_pytorch"
"""Package of the published weights. Only its file is read: importing it needs more packages."""
LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
"""Convolutions of AlexNet, as the file names them."""
CHANNELS = (64, 192, 384, 256, 256)
KERNELS, PADDINGS = (11, 5, 3, 3, 3), (2, 2, 1, 1, 1)
POOLED = (1, 2)
"""Convolutions that a pooling stands before."""


class Blur(nn.Module):
    """Halve maps through a binomial filter of 3 x 3, padded by two positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(taps, taps) / 16
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).clone(), persistent=False)

    def forward(self, maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C i j"]:
        """Return the maps at half the size."""
        padded = F.pad(maps, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.kernel, stride=2, groups=maps.shape[1])


class ShiftTolerantLPIPS(nn.Module):
    """LPIPS on an AlexNet whose strides are blurred.

    References:
        Ghildyal and Liu, Shift-tolerant Perceptual Similarity Metric, 2022,
        https://arxiv.org/abs/2207.13686

    Args:
        weights: Of the published file `alex_shift_tolerant.pth`.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        sources = (3, *CHANNELS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, padding=padding)
            for before, after, kernel, padding in zip(
                sources, CHANNELS, KERNELS, PADDINGS, strict=True
            )
        )
        self.first = Blur(CHANNELS[0])
        self.blurs = nn.ModuleList(Blur(CHANNELS[i - 1]) for i in POOLED)
        self.shift: Tensor
        self.scale: Tensor
        for name in ("shift", "scale"):
            self.register_buffer(name, weights[f"scaling_layer.{name}"])
        for index, (layer, convolution) in enumerate(zip(LAYERS, self.convolutions, strict=True)):
            parts = ("weight", "bias")
            convolution.load_state_dict({p: weights[f"net.{layer}.{p}"] for p in parts})
            self.register_buffer(f"factor{index}", weights[f"lin{index}.model.1.weight"])

    @classmethod
    def load(cls) -> ShiftTolerantLPIPS:
        """Read the weights of the package `stlpips-pytorch`.

        Raises:
            ModuleNotFoundError: It is not installed.
        """
        found = find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(name="stlpips-pytorch")
        path = Path(found.origin).parent / "weights" / "vST0.0" / "alex_shift_tolerant.pth"
        return cls(torch.load(path, map_location="cpu", weights_only=True)).eval()

    def forward(
        self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, " B"]:
        """Return the distance of each pair of pictures in [0, 1]; 0 for equal ones."""
        total = first.new_zeros(len(first))
        for index, (a, b) in enumerate(zip(self._maps(first), self._maps(second), strict=True)):
            factor: Tensor = getattr(self, f"factor{index}")
            total = total + ((a - b).square() * factor).sum(1).mean((1, 2))
        return total

    def _maps(self, pictures: Tensor) -> list[Tensor]:
        """Return the maps of all layers, of length 1 at each position."""
        x, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for index, convolution in enumerate(self.convolutions):
            if index in POOLED:
                x = self.blurs[POOLED.index(index)](F.max_pool2d(x, 3, 1))
            x = convolution(x)
            x = F.relu(self.first(x) if index == 0 else x)
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found
