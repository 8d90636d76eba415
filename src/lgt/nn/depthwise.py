"""A depthwise convolution with a stride and fixed weights, whose gradient takes its time's worth.

In bfloat16 oneDNN computes that gradient some ten times as slowly as it could on processors.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class StridedDepthwise(nn.Module):
    """A convolution of each channel by itself, with a stride and weights that are not learned.

    Args:
        convolution: What it computes; `static_padding`, if it has one, comes before.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Convolve; in bfloat16 on a processor with a gradient of our own."""
        convolution = self.convolution
        if not (x.requires_grad and x.is_cpu and x.dtype == torch.bfloat16):
            out: Tensor = convolution(x)
            return out
        static = getattr(convolution, "static_padding", None)
        x = x if static is None else static(x)
        down, right = (int(side) for side in convolution.padding)
        x = F.pad(x, (right, right, down, down))
        bias = None if convolution.bias is None else convolution.bias.to(x.dtype)
        return strided_depthwise(x, convolution.weight.to(x.dtype), bias, convolution.stride[0])


def strided_depthwise(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "C 1 k k"],
    bias: Float[Tensor, " C"] | None,
    stride: int,
) -> Float[Tensor, "B C h w"]:
    """Convolve each channel without padding; only `x` has a gradient."""
    out: Tensor = _Strided.apply(x, weight, bias, stride)  # type: ignore[no-untyped-call]
    return out


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride = x.shape[-2:], stride
        return F.conv2d(x, weight, bias, stride=stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Convolve the gradient, spread out by the stride, with the mirrored kernel."""
        (gradient,), (weight,), stride = gradients, ctx.saved_tensors, ctx.stride
        batch, channels, height, width = gradient.shape
        edge = weight.shape[-1] - 1
        spread = torch.empty(
            (batch, channels, *(side + edge for side in ctx.size)),
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        ).zero_()
        rows, columns = (
            slice(edge, edge + stride * (side - 1) + 1, stride) for side in (height, width)
        )
        spread[..., rows, columns] = gradient
        return F.conv2d(spread, weight.flip(2, 3), groups=channels), None, None, None
