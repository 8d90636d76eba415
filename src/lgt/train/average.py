"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lgt.train.schedule import ema_decay_at


class WeightAverage:
    """Average of a network's weights, updated in place once a step.

    Args:
        network: The network; its present weights are the first average.
        decay: Decay per step after warm-up; 0 keeps no average.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._average: dict[str, Tensor] | None = None
        if decay:
            state = network.state_dict()
            self._average = {name: value.detach().clone() for name, value in state.items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards the weights after step `step` (from 1)."""
        if self._average is None:
            return
        weight = 1 - ema_decay_at(step, self.decay)
        state = network.state_dict(keep_vars=True)
        names = [name for name in self._average if self._average[name].is_floating_point()]
        torch._foreach_lerp_(
            [self._average[name] for name in names], [state[name] for name in names], weight
        )

    @contextmanager
    def weights_of(self, network: nn.Module) -> Iterator[None]:
        """Give the network the averaged weights for the duration of a block."""
        if self._average is None:
            yield
            return
        kept = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._average)
        try:
            yield
        finally:
            network.load_state_dict(kept)

    def state_dict(self) -> dict[str, Tensor] | None:
        """Return the averaged weights, or None."""
        return self._average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over averaged weights, if an average is kept."""
        if self._average is not None:
            for name, value in state.items():
                self._average[name].copy_(value)
