"""Two layers of the tiny autoencoder in one: kernels of convolutions with nothing between them.

In numpy, so that the graphs made without torch take the same numbers as the codec on torch.
"""

from __future__ import annotations

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


def composed(first: Kernel, second: Kernel) -> Kernel:
    """Return the 5 x 5 kernel of one 3 x 3 convolution after another, in float64."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    kernel = np.zeros((len(b), a.shape[1], 5, 5))
    for y in range(3):
        for x in range(3):
            kernel[:, :, y : y + 3, x : x + 3] += np.einsum("om,mihw->oihw", b[:, :, y, x], a)
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


def doubled_pair(first: Kernel, second: Kernel) -> Kernel:
    """Return the 3 x 3 kernel of enlargement by two (nearest) and two convolutions, in float64.

    It gives the four pixels that one becomes: rows are output, row phase, column phase, as
    `pixel_shuffle` (DepthToSpace in the mode CRD) takes them.
    """
    kernel = composed(first, second)
    for axis in (2, 3):
        a, b, c, d, e = (np.take(kernel, i, axis) for i in range(5))
        phases = [[a + b, c + d, e], [a, b + c, d + e]]
        stacked = np.stack([np.stack(taps, axis) for taps in phases], 1)
        kernel = stacked.reshape(-1, *stacked.shape[2:])
    return kernel
