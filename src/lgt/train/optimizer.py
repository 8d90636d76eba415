"""Optimisers: AdamW, or Muon, whose update of each matrix is made orthogonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.adamw import adamw

from lgt.config.schema import TrainingConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that drives singular values towards 1, from Jordan's description."""
BETAS, EPS = (0.9, 0.99), 1e-8
"""Of AdamW, for what is no matrix."""
OUTER = ("conv_in", "conv_out", "embedding.table", "hypernetwork")
"""Layers whose rows mean something by themselves: the first, the last, and a style's numbers."""
OUTER_SHARE = 0.5
"""Learning rate of AdamW as a share of that of the matrices."""


def orthogonalised(matrix: Float[Tensor, "M N"], steps: int = 5) -> Float[Tensor, "M N"]:
    """Return about `U V^T` of `matrix = U S V^T`: singular values between 0.7 and 1.2.

    Args:
        matrix: Any but zero.
        steps: Newton-Schulz iterations.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-12)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return found


class Muon(torch.optim.Optimizer):
    """Orthogonal momentum for matrices and convolutions, AdamW for all else.

    A matrix's update has a root mean square of 0.2 of the learning rate, about that of AdamW, so
    that both follow one schedule.

    Args:
        network: What is trained.
        lr: Learning rate.
        momentum: Of the matrices, with Nesterov's look ahead.
        weight_decay: Decoupled, of all.

    References:
        Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/;
        Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
        (the scale of the update)
    """

    def __init__(
        self, network: nn.Module, lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            is_matrix = parameter.ndim >= 2 and not any(outer in name for outer in OUTER)
            (matrices if is_matrix else others).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": matrices, "is_matrix": True},
            {"params": others, "is_matrix": False},
        ]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; `closure` computes loss and gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            known = [p for p in group["params"] if p.grad is not None]
            if group["is_matrix"]:
                for parameter in known:
                    self._turn(parameter, group)
            else:
                self._adamw(known, group)
        return loss

    def _turn(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum"]
        buffer.mul_(group["momentum"]).add_(parameter.grad)  # type: ignore[arg-type]
        ahead = parameter.grad.add(buffer, alpha=group["momentum"])  # type: ignore[union-attr]
        update = orthogonalised(ahead.reshape(len(ahead), -1))
        rate = group["lr"]
        parameter.mul_(1 - rate * group["weight_decay"])
        scale = 0.2 * max(update.shape) ** 0.5
        parameter.add_(update.reshape(parameter.shape), alpha=-rate * scale)

    def _adamw(self, parameters: Iterable[Tensor], group: dict[str, Any]) -> None:
        parameters = list(parameters)
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters],  # type: ignore[misc]
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [s["step"] for s in states],
            foreach=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=OUTER_SHARE * group["lr"],
            weight_decay=group["weight_decay"],
            eps=EPS,
            maximize=False,
        )


def build_optimizer(network: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """Build the optimiser that `training.optimizer` names."""
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "muon":
        return Muon(network, rate, weight_decay=decay)
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)
