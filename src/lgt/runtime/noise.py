"""Standard normal noise: the numbers of torch's generator of the CPU, without torch."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from lgt.seeds import check_seed

BLOCK = 16
"""Numbers that torch makes at once."""

Array = np.ndarray[Any, np.dtype[np.float32]]


class Noise:
    """Noise of a seed, equal to that of torch within rounding.

    The Mersenne Twister of 32 bits, 24 of which make a number in [0, 1), and the transform of Box
    and Muller in blocks.

    Args:
        seed: None draws one.

    Raises:
        InputError: It is no seed.

    References:
        Box and Muller, A Note on the Generation of Random Normal Deviates, 1958,
        https://doi.org/10.1214/aoms/1177706645
    """

    def __init__(self, seed: int | None) -> None:
        number = secrets.randbits(32) if seed is None else check_seed(seed)
        self._words = np.random.RandomState(number % 2**32)

    def normal(self, shape: Sequence[int]) -> Array:
        """Return the next numbers, at least `BLOCK` of them, as `torch.randn` does."""
        size = math.prod(shape)
        uniform, whole = self._uniform(size), size - size % BLOCK
        values = np.empty(size, np.float32)
        values[:whole] = _box_muller(uniform[:whole])
        if whole < size:  # The last block overlaps the one before it, and is drawn anew.
            values[-BLOCK:] = _box_muller(self._uniform(BLOCK))
        return values.reshape(shape)

    def _uniform(self, size: int) -> Array:
        words = self._words.randint(0, 2**32, size, np.uint32) & np.uint32(2**24 - 1)
        return words.astype(np.float32) * np.float32(2**-24)


def _box_muller(uniform: Array) -> Array:
    pairs = uniform.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(-2 * np.log(1 - pairs[:, 0]))
    angle = np.float32(2 * math.pi) * pairs[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
