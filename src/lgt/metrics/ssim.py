"""Structural similarity (SSIM) of luminance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.image.grey import luminance

WINDOW = 7
"""Side of the uniform window, in pixels: scikit-image's default."""


def structural_similarity(x: Tensor, y: Tensor) -> NDArray[np.float64]:
    """Return the mean SSIM `[B]` of the luminance of two batches in [0, 1]; 1 for equal pictures.

    References:
        Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
        structural similarity", 2004.

    Raises:
        InputError: scikit-image is missing (extra `metrics`), or a picture is too small.
    """
    if min(x.shape[-2:]) < WINDOW:
        raise InputError(f"SSIM needs pictures of {WINDOW} x {WINDOW} pixels or more")
    try:
        from skimage.metrics import structural_similarity as ssim
    except ImportError as error:
        raise InputError(f"SSIM needs scikit-image: {pip_install('metrics')}") from error
    measure: Callable[..., float] = ssim
    pairs = zip(luminance(x)[:, 0].numpy(), luminance(y)[:, 0].numpy(), strict=True)
    return np.array([measure(a, b, data_range=1.0, win_size=WINDOW) for a, b in pairs])
