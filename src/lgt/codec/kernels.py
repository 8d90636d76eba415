"""Layers of the tiny autoencoder in one: kernels of convolutions with nothing between them.

In numpy, so that the graphs made without torch take the same numbers as the codec on torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Kernel = np.ndarray[Any, Any]
"""`[out, in, rows, columns]`."""


def doubled(kernel: Kernel) -> Kernel:
    """Return the 4 x 4 kernel that enlarges by two (nearest) and convolves, in float64.

    After the enlargement neighbours are equal in pairs, so each of the four pixels that one becomes
    needs 2 x 2 products instead of 3 x 3. Along each axis (a, b, c) becomes (c, b + c, a + b, a), a
    transposed convolution with stride 2 and padding 1. Exact, border included.
    """
    result = kernel.astype(np.float64)
    for axis in (2, 3):
        a, b, c = (np.take(result, i, axis) for i in range(3))
        result = np.stack([c, b + c, a + b, a], axis)
    return result


def composed(first: Kernel, second: Kernel, stride: int = 1) -> Kernel:
    """Return the kernel of one convolution after another, in float64.

    Its side is `k_1 + stride (k_2 - 1)`.

    Args:
        first: Square kernel of the first one.
        second: Square kernel of the second one.
        stride: Of the first one.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    own, taps = a.shape[-1], b.shape[-1]
    side = own + stride * (taps - 1)
    kernel = np.zeros((len(b), a.shape[1], side, side))
    for y in range(taps):
        for x in range(taps):
            rows, columns = (slice(stride * at, stride * at + own) for at in (y, x))
            kernel[:, :, rows, columns] += np.einsum("om,mihw->oihw", b[:, :, y, x], a)
    return kernel


def composed_offset(second: Kernel, offset: Kernel | None, own: Kernel | None) -> Kernel:
    """Return the offset of one convolution after another, in float64.

    Args:
        second: Kernel of the second one.
        offset: Of the first one; None: zero.
        own: Of the second one; None: zero.
    """
    result = np.zeros(len(second))
    if offset is not None:
        result += second.astype(np.float64).sum((2, 3)) @ offset
    return result if own is None else result + own


def halving_chain(kernels: Sequence[Kernel]) -> Kernel:
    """Return the kernel of a convolution and of further ones that halve, in float64.

    Its stride is 2 to the power of their number.
    """
    result = kernels[0]
    for index, kernel in enumerate(kernels[1:]):
        result = composed(result, kernel, 2**index)
    return result


def doubling_chain(kernels: Sequence[Kernel]) -> Kernel:
    """Return the 3 x 3 kernel of 3 x 3 convolutions, an enlargement by two before all but the last.

    The enlargements (nearest) come to `f = 2^n`. The kernel gives the f x f pixels that one
    becomes, in float64: rows are output, row phase, column phase, as `pixel_shuffle` (DepthToSpace
    in the mode CRD) takes them.
    """
    factor = 2 ** (len(kernels) - 1)
    result = _spread(kernels[0], factor // 2)
    for index, kernel in enumerate(kernels[1:], start=2):
        result = composed(result, _spread(kernel, max(1, factor // 2**index)))
    for axis in (2, 3):
        taps = np.moveaxis(result, axis, 0)
        phases = np.zeros((factor, 3, *taps.shape[1:]))
        for phase in range(factor):
            for tap, values in enumerate(taps):
                # The pixel is one of those that its cell became, or a neighbour's.
                phases[phase, (phase + tap - len(taps) // 2) // factor + 1] += values
        stacked = np.moveaxis(phases, (0, 1), (1, axis + 1))
        result = stacked.reshape(-1, *stacked.shape[2:])
    return result


def _spread(kernel: Kernel, step: int) -> Kernel:
    """Return a kernel with `step - 1` zeros between its taps: a convolution before an enlargement
    by `step` is this one after it.
    """
    side = step * (kernel.shape[-1] - 1) + 1
    result = np.zeros((*kernel.shape[:2], side, side))
    result[..., ::step, ::step] = kernel
    return result
