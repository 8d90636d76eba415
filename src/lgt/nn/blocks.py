"""Residual blocks of the encoder and the decoder."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lgt.nn.statistics import SharedGroupNorm
from lgt.nn.style_conv import StyleDynamicConv, pad_edge


def group_norm(channels: int, *, affine: bool = True) -> nn.GroupNorm:
    """Return a GroupNorm of 8 channels a group (channels are multiples of 8)."""
    return SharedGroupNorm(channels // 8, channels, affine=affine)


class EdgeConv2d(nn.Conv2d):
    """A 3 x 3 convolution that repeats the edge of its input.

    Note:
        Padding with zeros tells the network where the border is. The style energy does not see
        positions, so a frame of contrast along the border would lower it at little cost elsewhere.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Pad by one and convolve."""
        out: Tensor = super().forward(pad_edge(x, 1))
        return out


def unit_length(condition: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Scale an embedding by `1 / sqrt(D)`, so that its length does not grow with D.

    Note:
        Adam moves each weight by about the learning rate. A layer on D inputs of size one would
        move its outputs by D times that at every step; for D = 256 this noise drowns what a style
        has to say.
    """
    scaled: Tensor = condition / condition.shape[1] ** 0.5
    return scaled


def activated(time: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Return what blocks take of the embedding of a time, once for all of them."""
    return unit_length(F.silu(time))


@runtime_checkable
class DecoderBlock(Protocol):
    """A decoder block: what a style adds to features, split so that styles are computed once."""

    def style_parameters(self, style: Tensor) -> Tensor:
        """Map embeddings `[B, S]` to what :meth:`__call__` takes as `parameters`."""
        ...

    def __call__(self, x: Tensor, time: Tensor, parameters: Tensor) -> Tensor:
        """Map features, activated times and style parameters to features of the same shape."""
        ...


class EncoderBlock(nn.Module):
    """Two plain 3 x 3 convolutions with a time scale and shift between them, and a skip."""

    def __init__(self, channels: int, time_dim: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = group_norm(channels), group_norm(channels)
        self.conv_1 = EdgeConv2d(channels, channels)
        self.conv_2 = EdgeConv2d(channels, channels)
        self.modulation = nn.Linear(time_dim, 2 * channels)

    def forward(
        self, x: Float[Tensor, "B C H W"], time: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B C H W"]:
        """Refine features; `time` is the condition, as :func:`activated` gives it."""
        scale, shift = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.norm_2(h) * (1 + scale) + shift
        out: Tensor = x + self.conv_2(F.silu(h))
        return out


class StyleBlock(nn.Module):
    """The texture generator: a plain convolution, then the style's own filter bank, and a skip.

    No normalisation follows the style convolution before the block ends.
    """

    def __init__(self, channels: int, time_dim: int, style_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = group_norm(channels), group_norm(channels)
        self.conv_1 = EdgeConv2d(channels, channels)
        self.style_conv = StyleDynamicConv(channels, style_dim, kernel_size)
        self.conv_2 = EdgeConv2d(channels, channels)
        self.modulation = nn.Linear(time_dim, 2 * channels)

    def style_parameters(self, style: Float[Tensor, "B S"]) -> Float[Tensor, "B C K"]:
        """Make this block's kernels."""
        return self.style_conv.kernels(style)

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        time: Float[Tensor, "B T"],
        parameters: Float[Tensor, "B C K"],
    ) -> Float[Tensor, "B C H W"]:
        """Refine features with the style's kernels `parameters`."""
        scale, shift = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.norm_2(h) * (1 + scale) + shift
        h = F.silu(self.style_conv(h, parameters))
        out: Tensor = x + self.conv_2(h)
        return out


class AdaGNBlock(nn.Module):
    """The OT-CFM baseline's block: style as a scale and shift after GroupNorm.

    References:
        Dhariwal and Nichol, Diffusion Models Beat GANs, 2021, section 3, eq. 1,
        https://arxiv.org/abs/2105.05233
    """

    def __init__(self, channels: int, time_dim: int, style_dim: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = group_norm(channels), group_norm(channels, affine=False)
        self.conv_1 = EdgeConv2d(channels, channels)
        self.conv_2 = EdgeConv2d(channels, channels)
        self.time_modulation = nn.Linear(time_dim, 2 * channels)
        self.style_modulation = nn.Linear(style_dim, 2 * channels)
        nn.init.normal_(self.style_modulation.weight, std=0.3)

    def style_parameters(self, style: Float[Tensor, "B S"]) -> Float[Tensor, "B C2"]:
        """Make this block's scales and shifts."""
        parameters: Tensor = self.style_modulation(unit_length(style))
        return parameters

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        time: Float[Tensor, "B T"],
        parameters: Float[Tensor, "B C2"],
    ) -> Float[Tensor, "B C H W"]:
        """Refine features with the style's scales and shifts `parameters`."""
        modulation = self.time_modulation(time) + parameters
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        h = self.norm_2(self.conv_1(F.silu(self.norm_1(x)))) * (1 + scale) + shift
        out: Tensor = x + self.conv_2(F.silu(h))
        return out
