"""Gaussian transports of one size, observed and applied for all outputs of a batch at once.

Products of stacks of matrices: a device is asked once where it would be asked for each layer and
class. The state is that of the single transports, :class:`lgt.energy.gaussian.GaussianTransport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lgt.energy.gaussian import GaussianTransport, gaussian_transport
from lgt.energy.processes import summed
from lgt.exact import exact_matmul

ROUNDING = 5e-7
"""Error of a variance, as a share of the mean square about the origin that it is taken of."""


@dataclass(frozen=True)
class Members:
    """Which output is of which class, where the maps are."""

    kinds: Int[Tensor, " B"]
    """Class of each output; any where it takes no part."""
    means: Float[Tensor, "K B"]
    """Takes the mean over the outputs of each class; its part of it, of several processes."""
    shares: Float[Tensor, " K"]
    """Share of each class's memory that is new."""
    weights: Float[Tensor, " K"]
    """Share of each class's memory that is filled, these outputs included."""


class TransportStack:
    """L transports of one size.

    Args:
        transports: The single ones, whose buffers become parts of common ones.
    """

    def __init__(self, transports: Sequence[GaussianTransport]) -> None:
        self.transports = tuple(transports)
        self._common: dict[str, Tensor] = {}
        for name in ("weight", "first", "second", "origin", "map"):
            self._of(name)

    def no_points(self) -> Float[Tensor, "L 0 1 D"]:
        """Return the points of no output."""
        means = self.transports[0].means
        return means.new_zeros(len(self.transports), 0, 1, means.shape[1])

    @torch.no_grad()
    def observe(self, points: Float[Tensor, "L B N D"], members: Members) -> None:
        """Take points of outputs, those of all processes, into the moments of their classes."""
        second = exact_matmul(points.mT, points) / points.shape[2]
        shares = members.shares
        first = summed(exact_matmul(members.means, points.mean(2)))
        self._of("first").lerp_(first, shares[:, None])
        second = summed(exact_matmul(members.means, second.flatten(2)))
        second = second.reshape(self._of("second").shape)
        self._of("second").lerp_(second, shares[:, None, None])
        self._of("weight").copy_(members.weights)

    @torch.no_grad()
    def refresh(self, kinds: Int[Tensor, " R"]) -> None:
        """Compute the transports of some classes from the present moments."""
        first, second, weight, target = (
            self._of(name).index_select(1, kinds)
            for name in ("first", "second", "weight", "covariances")
        )
        mean = first / weight[..., None]
        second = second / weight[..., None, None]
        covariance = second - mean[..., :, None] * mean[..., None, :]
        # Far from the origin rounding leaves variances below 0, which have no root.
        noise = ROUNDING * second.diagonal(dim1=-2, dim2=-1).sum(-1)
        covariance.diagonal(dim1=-2, dim2=-1).add_(noise[..., None])
        self._of("origin").index_copy_(1, kinds, mean)
        self._of("map").index_copy_(1, kinds, gaussian_transport(covariance, target))

    def motion(
        self, points: Float[Tensor, "L B N D"], kinds: Int[Tensor, " B"]
    ) -> Float[Tensor, "L B"]:
        """Return the mean squared motion of each output's points, in the unit of its class.

        Over a whole cloud this is the distance of the Gaussians; its gradient pulls each point to
        where the transport takes it.
        """
        with torch.no_grad():
            origin, mean, change, unit = (
                self._of(name).index_select(1, kinds)
                for name in ("origin", "means", "map", "units")
            )
            goals = exact_matmul(points - origin[:, :, None], change) + mean[:, :, None]
        return (points - goals).square().sum(-1).mean(-1) / unit

    def _of(self, name: str) -> Tensor:
        """Return a buffer of all transports; theirs are parts of it, also after a move."""
        owners: list[nn.Module] = [
            t.seen if name in ("weight", "first", "second") else t for t in self.transports
        ]
        found = self._common.get(name)
        if found is None or any(getattr(owner, name)._base is not found for owner in owners):
            found = self._common[name] = torch.stack([getattr(owner, name) for owner in owners])
            for row, owner in enumerate(owners):
                setattr(owner, name, found[row])
        return found
