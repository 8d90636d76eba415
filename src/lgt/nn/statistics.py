"""Group normalisation whose statistics can be measured once and held for the parts of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

Window = tuple[float, float, float, float]
"""Top, bottom, left and right of a rectangle, as fractions of a part's height and width."""


class GroupStatistics:
    """Mean and variance of each group at each layer: first measured, then held.

    The first input of a layer sets its statistics. They hold until :meth:`settle`, which replaces
    them by those of all inputs since, each counted inside its :attr:`window`.

    Args:
        margin: Part of each side of a block, in [0, 0.5), that is left out of the first
            measurement: near the border of a block its neighbours are missing.
    """

    def __init__(self, margin: float = 0.0) -> None:
        self.window: Window | None = None
        """What counts of the inputs to come; None: nothing."""
        self._margin = margin
        self._held: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._sums: dict[nn.Module, Tensor] = {}

    def of(
        self, layer: nn.Module, x: Float[Tensor, "B C H W"], groups: int
    ) -> tuple[Tensor, Tensor]:
        """Return mean and variance `[G]` of a layer."""
        if layer not in self._held:
            inner = (self._margin, 1 - self._margin) * 2
            self._held[layer] = _moments(x, groups, inner)[:2]
        elif self.window is not None:
            mean, variance, count = _moments(x, groups, self.window)
            # Sums of 1, x and x^2 over all that counts.
            sums = count * torch.stack([torch.ones_like(mean), mean, variance + mean.square()])
            self._sums[layer] = self._sums.get(layer, torch.zeros_like(sums)) + sums
        return self._held[layer]

    def settle(self) -> None:
        """Hold from now on what has been seen in windows."""
        for layer, (count, total, squares) in self._sums.items():
            mean = total / count
            self._held[layer] = mean, (squares / count - mean.square()).clamp(min=0)
        self._sums, self.window = {}, None


def _moments(x: Tensor, groups: int, window: Window) -> tuple[Tensor, Tensor, int]:
    """Return mean and variance `[G]` over a batch inside a window, and how many pixels it has."""
    height, width = x.shape[-2:]
    rows = slice(round(window[0] * height), round(window[1] * height))
    columns = slice(round(window[2] * width), round(window[3] * width))
    inner = x[..., rows, columns].float()
    grouped = inner.reshape(len(x), groups, -1, *inner.shape[-2:])
    variance, mean = torch.var_mean(grouped, dim=(0, 2, 3, 4), correction=0)
    return mean, variance, len(x) * inner.shape[-2] * inner.shape[-1]


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
