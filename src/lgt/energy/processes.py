"""Sums over the processes of a training: what it remembers, it remembers of all outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

_ALONE: ContextVar[bool] = ContextVar("lgt_energy_alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Let this process's sums be its own: the energy of one picture is no other's."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def num_processes() -> int:
    """Return how many processes train together."""
    if _ALONE.get() or not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size()


@torch.no_grad()
def summed(value: Tensor) -> Tensor:
    """Return the sum over all processes, which must all ask for it; it has no gradient."""
    if num_processes() == 1:
        return value
    total = value.detach().clone().contiguous()
    dist.all_reduce(total)
    return total


def counted(value: Tensor, device: torch.device) -> Tensor:
    """Return the sum over all processes of what the host counts; one alone asks no device.

    Args:
        value: On the CPU, as the sum is.
        device: Where processes exchange tensors.
    """
    return value if num_processes() == 1 else summed(value.to(device)).cpu()
