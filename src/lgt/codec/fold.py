"""Faster decoding: enlargement and the convolution after it in one transposed convolution."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn


def transposed_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel that does both at once, `[in, out, 4, 4]` from `[out, in, 3, 3]`.

    After nearest enlargement by two, neighbours are equal in pairs, so each of the four positions
    an input pixel becomes needs 2 x 2 products instead of 3 x 3. Along one axis, with the kernel
    `(a, b, c)`: `K = (c, b + c, a + b, a)`, used with stride 2 and padding 1. Exact, border
    included; only the rounding differs.
    """

    def fold(k: Tensor) -> Tensor:
        a, b, c = k.unbind(-1)
        return torch.stack([c, b + c, a + b, a], dim=-1)

    both = fold(fold(kernel.double()).transpose(-1, -2)).transpose(-1, -2)
    return both.to(kernel.dtype).transpose(0, 1).contiguous()


def folded_decoder(decoder: Any) -> Any:
    """Return a copy of a `DecoderTiny` with every such pair folded into one layer."""
    result = copy.deepcopy(decoder)
    layers = list(result.layers)
    folded: list[nn.Module] = []
    while layers:
        layer = layers.pop(0)
        if layers and _is_pair(layer, layers[0]):
            layer = _fold_pair(cast("nn.Conv2d", layers.pop(0)))
        folded.append(layer)
    result.layers = nn.Sequential(*folded)
    return result


def _is_pair(first: nn.Module, second: nn.Module) -> bool:
    return (
        isinstance(first, nn.Upsample)
        and first.mode == "nearest"
        and first.scale_factor == 2
        and isinstance(second, nn.Conv2d)
        and second.kernel_size == (3, 3)
        and second.padding == (1, 1)
        and second.stride == second.dilation == (1, 1)
        and second.groups == 1
    )


def _fold_pair(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    has_bias = conv.bias is not None
    layer = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, bias=has_bias
    )
    layer.weight = nn.Parameter(transposed_kernel(conv.weight.detach()), requires_grad=False)
    if conv.bias is not None:
        layer.bias = nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
    return layer
