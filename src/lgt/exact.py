"""Products and convolutions in the precision of their arguments, whatever the caller allows.

Autocast computes them in bfloat16. On a GPU PyTorch computes convolutions of float32 in TF32, whose
products have 10 bits, unless told otherwise, and products of matrices where a program asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute convolutions and products of float32 on a GPU in float32; restore what was set."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):  # From PyTorch 2.9 on; its older names warn, and may raise.
        name, off = "fp32_precision", "ieee"
        places = [backends.cudnn.conv, backends.cuda.matmul]
    else:
        name, off = "allow_tf32", False  # type: ignore[assignment]
        places = [backends.cudnn, backends.cuda.matmul]
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, off)
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(place, name, value)


def exact_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b` of matrices, in batches or not, in their own precision; so is the gradient."""
    with torch.autocast(a.device.type, enabled=False):
        if a.device.type != "cuda":
            return a @ b
        product: Tensor = _Matmul.apply(a, b)  # type: ignore[no-untyped-call]
        return product


def exact_conv2d(x: Tensor, kernels: Tensor, dilation: int = 1) -> Tensor:
    """Return `conv2d(x, kernels)` in its own precision; so is the gradient, of `x` alone."""
    kernels = kernels.detach()
    with torch.autocast(x.device.type, enabled=False):
        if x.device.type != "cuda":
            return F.conv2d(x, kernels, dilation=dilation)
        found: Tensor = _Conv2d.apply(x, kernels, dilation)  # type: ignore[no-untyped-call]
        return found


class _Matmul(torch.autograd.Function):
    """The flags count when the gradient is computed, too, long after the block that sets them."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        with without_tf32():
            return a @ b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        a, b = ctx.saved_tensors
        (gradient,) = gradients
        with without_tf32(), torch.autocast(a.device.type, enabled=False):
            of_a = (gradient @ b.mT).sum_to_size(a.shape) if ctx.needs_input_grad[0] else None
            of_b = (a.mT @ gradient).sum_to_size(b.shape) if ctx.needs_input_grad[1] else None
        return of_a, of_b


class _Conv2d(torch.autograd.Function):
    """See :class:`_Matmul`; kernels are constants."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(kernels)
        ctx.shape, ctx.dilation = x.shape, dilation
        with without_tf32():
            return F.conv2d(x, kernels, dilation=dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (kernels,) = ctx.saved_tensors
        with without_tf32(), torch.autocast(kernels.device.type, enabled=False):
            of_x = conv2d_input(ctx.shape, kernels, gradients[0], dilation=ctx.dilation)
        return of_x, None, None
