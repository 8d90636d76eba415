"""The generator of CycleGAN for 256 x 256 pictures, as a rival in speed; its weights are random.

References:
    Zhu et al., Unpaired Image-to-Image Translation, 2017, appendix 7.2 (`c7s1-64, d128, d256, nine
    R256, u128, u64, c7s1-3`), https://arxiv.org/abs/1703.10593
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two reflected 3 x 3 convolutions with instance normalisation, and a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine features."""
        out: Tensor = x + self.body(x)
        return out


def resnet9() -> nn.Module:
    """Return the generator: pictures `[B, 3, H, W]` in [-1, 1] to such pictures; 11.4 M weights."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, padding=3, padding_mode="reflect")]
    layers += [nn.InstanceNorm2d(64), nn.ReLU(inplace=True)]
    for channels in (64, 128):
        layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)]
        layers += [nn.InstanceNorm2d(2 * channels), nn.ReLU(inplace=True)]
    layers += [Residual(256) for _ in range(9)]
    for channels in (256, 128):
        half = channels // 2
        layers += [
            nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(half),
            nn.ReLU(inplace=True),
        ]
    layers += [nn.Conv2d(64, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
    network = nn.Sequential(*layers).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
