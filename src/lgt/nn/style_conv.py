"""StyleDynamicConv: a depthwise convolution whose kernels are made from the style."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def pad_edge(x: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C H2 W2"]:
    """Repeat the border pixels `size` times on each side, in the precision of `x`."""
    if not torch.compiler.is_compiling():
        # Autocast would make float32 of it, which the convolution would then turn back.
        with torch.autocast(x.device.type, enabled=False):
            return F.pad(x, (size,) * 4, mode="replicate")
    # Compiled for a CPU, the backward pass of replication padding fails (PyTorch 2.13).
    for dim in (2, 3):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
        x = torch.cat([*[first] * size, x, *[last] * size], dim=dim)
    return x


class StyleDynamicConv(nn.Module):
    """Convolve each channel with a kernel that a hypernetwork makes from the style embedding.

    `y_c = k_c(style) * x_c + b_c(style)`, one `k x k` kernel a channel (groups = channels), where
    `k = delta + hypernetwork(style)`, so that training starts near the identity but not at it.

    Note:
        Do not normalise its output at once: a following GroupNorm would remove the gains and
        offsets that depthwise kernels encode.

    References:
        Ha et al., HyperNetworks, 2017, https://arxiv.org/abs/1609.09106
    """

    identity: Tensor

    def __init__(self, channels: int, style_dim: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.channels, self.kernel_size = channels, kernel_size
        taps = kernel_size * kernel_size
        self.hypernetwork = nn.Linear(style_dim, channels * (taps + 1))
        nn.init.normal_(self.hypernetwork.weight, std=1 / kernel_size)
        nn.init.zeros_(self.hypernetwork.bias)
        identity = torch.zeros(taps + 1)
        identity[taps // 2] = 1.0
        self.register_buffer("identity", identity, persistent=False)

    def kernels(self, style: Float[Tensor, "B S"]) -> Float[Tensor, "B C K"]:
        """Make the kernels, and last the offset, of each channel: K = kernel_size**2 + 1."""
        made: Tensor = self.hypernetwork(style / style.shape[1] ** 0.5)
        return made.reshape(len(made), self.channels, -1) + self.identity

    def forward(
        self, x: Float[Tensor, "B C H W"], kernels: Float[Tensor, "B C K"]
    ) -> Float[Tensor, "B C H W"]:
        """Apply `kernels` (from :meth:`kernels`); the edge is repeated, the size stays."""
        batch, channels, height, width = x.shape
        k = self.kernel_size
        weight = kernels[..., :-1].reshape(batch * channels, 1, k, k).to(x.dtype)
        offset = kernels[..., -1].reshape(batch * channels).to(x.dtype)
        # One grouped convolution for the batch: samples become channels.
        padded = pad_edge(x, k // 2)
        flat = padded.reshape(1, batch * channels, *padded.shape[2:])
        out = F.conv2d(flat, weight, offset, groups=batch * channels)
        return out.reshape(batch, channels, height, width)


class StyleHead(nn.Module):
    """The style's own two convolutions at the end: the shortest way from a style to its picture.

    `conv(silu(conv(x)))` with full 3 x 3 kernels, all made from the style embedding. What all
    pictures of a style have in common (palette, contrast, grain) is learned here in tens of steps,
    where the shared layers take thousands. It begins as 0.

    Args:
        channels: Channels of input and output.
        hidden: Channels between.
        style_dim: Length of a style embedding.
    """

    def __init__(self, channels: int, hidden: int, style_dim: int) -> None:
        super().__init__()
        self.shapes = ((hidden, channels), (channels, hidden))
        self.hypernetwork = nn.Linear(style_dim, sum(a * (9 * b + 1) for a, b in self.shapes))
        nn.init.zeros_(self.hypernetwork.weight)
        nn.init.zeros_(self.hypernetwork.bias)
        first = hidden * channels * 9
        nn.init.normal_(self.hypernetwork.bias[:first], std=(9 * channels) ** -0.5)

    def style_parameters(self, style: Float[Tensor, "B S"]) -> Float[Tensor, "B K"]:
        """Make the kernels, each followed by its offsets."""
        made: Tensor = self.hypernetwork(style / style.shape[1] ** 0.5)
        return made

    def forward(
        self, x: Float[Tensor, "B C H W"], parameters: Float[Tensor, "B K"]
    ) -> Float[Tensor, "B C H W"]:
        """Apply both convolutions; the edge is repeated, the size stays."""
        batch, start = len(x), 0
        height, width = x.shape[-2:]
        for index, (rows, columns) in enumerate(self.shapes):
            end = start + rows * columns * 9
            kernel, offset = parameters[:, start:end], parameters[:, end : end + rows]
            start = end + rows
            # One grouped convolution for the batch: samples become channels.
            flat = pad_edge(x, 1).reshape(1, batch * columns, height + 2, width + 2)
            kernel = kernel.reshape(batch * rows, columns, 3, 3).to(x.dtype)
            x = F.conv2d(flat, kernel, offset.reshape(-1).to(x.dtype), groups=batch)
            x = x.reshape(batch, rows, height, width)
            if index == 0:
                x = F.silu(x)
        return x
