"""Seeds of random numbers: which there are, and the generator of one."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from lgt.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Generator, Tensor

MAX_SEED = 2**64 - 1
"""Largest seed that torch's generators take."""
MIN_SEED = -(2**63)
"""Smallest; the command line and the configuration begin at 0."""
MANY = 2**16
"""Numbers that are not listed to draw a few of them."""


def check_seed(seed: int) -> int:
    """Return a seed that generators take, as a plain int.

    Raises:
        InputError: It is no whole number, or has more than 64 bits.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise InputError(
            f"seed: must be a whole number (got {seed!r}); give one from 0 to {MAX_SEED}"
        ) from None
    if not MIN_SEED <= number <= MAX_SEED:
        raise InputError(
            f"seed: must have at most 64 bits (got {number}); give one from 0 to {MAX_SEED}"
        )
    return number


def derived(seed: int, *numbers: int) -> Generator:
    """Return the CPU generator of one of many independent streams of a seed.

    Args:
        seed: The seed.
        numbers: Which stream, such as a step and a process; each at least 0.

    Raises:
        InputError: As :func:`check_seed`.
    """
    import numpy as np
    from torch import Generator

    sequence = np.random.SeedSequence((check_seed(seed) % 2**64, *numbers))
    high, low = (int(word) for word in sequence.generate_state(2, np.uint32))
    return Generator().manual_seed(high << 31 ^ low)


def seeded(seed: int | None) -> Generator:
    """Return a CPU generator; None draws a seed of its own.

    Raises:
        InputError: As :func:`check_seed`.
    """
    from torch import Generator

    generator = Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(check_seed(seed))
    return generator


def draw_distinct(
    population: int, count: int, generator: Generator | None = None
) -> Int[Tensor, " K"]:
    """Draw numbers below `population`, each at most once, in random order; all if it has fewer.

    A few of many are drawn without listing the many.

    References:
        Bentley and Floyd, Programming Pearls: A Sample of Brilliance, 1987,
        https://doi.org/10.1145/30401.315746
    """
    import torch

    if population <= MANY or count > population // 64:
        return torch.randperm(population, generator=generator)[:count]
    drawn: dict[int, None] = {}
    for last in range(population - count, population):
        number = int(torch.randint(last + 1, (), generator=generator))
        drawn[last if number in drawn else number] = None
    return torch.tensor(list(drawn), dtype=torch.int64)[torch.randperm(count, generator=generator)]
