"""Group normalisation whose statistics can be measured once and held for the parts of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GroupStatistics:
    """Mean and variance of each group at each layer: first measured, then held.

    Args:
        margin: Part of each side of a block, in [0, 0.5), that is left out when measuring: near
            the border of a block its neighbours are missing.
    """

    def __init__(self, margin: float = 0.0) -> None:
        self.margin = margin
        self._held: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def of(self, layer: nn.Module, x: Float[Tensor, "B C H W"], groups: int) -> tuple[Tensor, ...]:
        """Return mean and variance `[G]` of a layer; the first call measures, over all of `x`."""
        if layer not in self._held:
            batch, channels, height, width = x.shape
            top, left = round(height * self.margin), round(width * self.margin)
            inner = x[..., top : height - top, left : width - left].float()
            grouped = inner.reshape(batch, groups, channels // groups, *inner.shape[-2:])
            variance, mean = torch.var_mean(grouped, dim=(0, 2, 3, 4), correction=0)
            self._held[layer] = mean, variance
        return self._held[layer]


_SHARED: ContextVar[GroupStatistics | None] = ContextVar("lgt_group_statistics", default=None)


@contextmanager
def shared_statistics(statistics: GroupStatistics) -> Iterator[None]:
    """Let every :class:`SharedGroupNorm` of this thread normalise with `statistics`."""
    token = _SHARED.set(statistics)
    try:
        yield
    finally:
        _SHARED.reset(token)


class SharedGroupNorm(nn.GroupNorm):
    """A GroupNorm that takes its statistics from :func:`shared_statistics`, if that is in force.

    Otherwise it is `torch.nn.GroupNorm`, with the same parameters.
    """

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalise each group of channels."""
        shared = None if torch.compiler.is_compiling() else _SHARED.get()
        if shared is None:
            out: Tensor = super().forward(x)
            return out
        mean, variance = shared.of(self, x, self.num_groups)
        repeats = self.num_channels // self.num_groups
        gain = (variance + self.eps).rsqrt().repeat_interleave(repeats)
        shift = -mean.repeat_interleave(repeats) * gain
        if self.affine:
            gain, shift = gain * self.weight, shift * self.weight + self.bias
        return x * gain[:, None, None] + shift[:, None, None]
