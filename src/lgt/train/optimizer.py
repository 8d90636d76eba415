"""Optimisers: AdamW, or Muon, whose update of each matrix is made orthogonal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast, overload

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


def orthogonalised(matrix: Float[Tensor, "*N R C"], steps: int = 5) -> Float[Tensor, "*N R C"]:
    """Return about `U V^T` of `matrix = U S V^T`: singular values between 0.7 and 1.2.

    Args:
        matrix: Any but zero; or several of one shape.
        steps: Newton-Schulz iterations.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrix.shape[-2] > matrix.shape[-1]
    x = (matrix.mT if is_tall else matrix).reshape(-1, *sorted(matrix.shape[-2:]))
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-12)
    for _ in range(steps):
        gram = x @ x.mT
        # (b gram + c gram^2) x + a x
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    found: Tensor = (x.mT if is_tall else x).reshape(matrix.shape)
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
                self._turn(known, group)
            else:
                self._adamw(known, group)
        return loss

    def _turn(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Move matrices; those of one shape are made orthogonal together."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [cast(Tensor, p.grad) for p in parameters]
        buffers = [self.state[p]["momentum"] for p in parameters]
        rate, momentum = group["lr"], group["momentum"]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        ahead = torch._foreach_add(gradients, buffers, alpha=momentum)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for index, parameter in enumerate(parameters):
            alike[parameter.shape].append(index)
        for shape, rows in alike.items():
            updates = orthogonalised(torch.stack([ahead[i] for i in rows]).flatten(2))
            scale = 0.2 * max(updates.shape[1:]) ** 0.5
            moves = updates.reshape(-1, *shape).unbind()
            torch._foreach_add_([parameters[i] for i in rows], moves, alpha=-rate * scale)

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
