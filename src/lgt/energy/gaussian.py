"""Optimal transport between Gaussians: distance and map in closed form, moments that run along."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lgt.exact import without_tf32

READY = 0.2
"""Share of the memory that has to be filled."""
NEWTON_SCHULZ = ((2.2, -1.578),) * 15 + ((1.5, -0.5),) * 5
"""Coefficients of each step's cubic `a s + b s^3` of singular values in (0, 1], which stay there.

The first ones let small values grow by 2.2 a step: enough for eigenvalues of 1e-10 of the largest
product. Newton's own, the last ones, lead all that is between 0.6 and 1 to 1."""


def symmetric_root(matrix: Float[Tensor, "D D"]) -> Float[Tensor, "D D"]:
    """Return the square root of a symmetric matrix; eigenvalues below 0 count as 0."""
    values, basis = torch.linalg.eigh(matrix)
    root: Tensor = (basis * values.clamp(min=0).sqrt()) @ basis.T
    return root


def gaussian_wasserstein_sq(
    mean: Float[Tensor, " D"],
    covariance: Float[Tensor, "D D"],
    other_mean: Float[Tensor, " D"],
    other_covariance: Float[Tensor, "D D"],
) -> Float[Tensor, ""]:
    """Return the squared 2-Wasserstein distance of two Gaussians, in float64.

    References:
        Dowson and Landau, The Frechet Distance between Multivariate Normal Distributions, 1982,
        https://doi.org/10.1016/0047-259X(82)90077-X
    """
    root = symmetric_root(covariance.double())
    cross = torch.linalg.eigvalsh(root @ other_covariance.double() @ root).clamp(min=0).sqrt()
    shift = (mean.double() - other_mean.double()).square().sum()
    spread: Tensor = covariance.double().trace() + other_covariance.double().trace()
    distance: Tensor = shift + spread - 2 * cross.sum()
    return distance


def gaussian_transport(
    covariance: Float[Tensor, "*N D D"], target: Float[Tensor, "*N D D"], floor: float = 1e-3
) -> Float[Tensor, "*N D D"]:
    """Return the symmetric A of least motion with `A covariance A = target`.

    With the means m and n, `x -> n + A (x - m)` is the optimal transport of one Gaussian to the
    other. A is the geometric mean of the target and of the covariance's inverse, to which the
    coupled Newton-Schulz iteration leads, in products of float32 alone, whatever the device.

    Args:
        covariance: Of what is moved; or of several of one size.
        target: Of where it goes.
        floor: Variance added to both, as a fraction of the target's mean variance: directions in
            which nothing varies can not be stretched.

    References:
        Higham et al., Functions Preserving Matrix Groups and Iterations for the Matrix Square
        Root, 2005, section 4 (the iteration), https://doi.org/10.1137/S0895479804442218
    """
    size = target.shape[-1]
    x, y = (m.float().reshape(-1, size, size) for m in (target, covariance))
    variance = x.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)[:, None, None]
    eye = torch.eye(size, device=x.device)
    with torch.autocast(x.device.type, enabled=False), without_tf32():
        x, y = x + floor * variance * eye, y + floor * variance * eye
        scale, other = (torch.linalg.matrix_norm(m, keepdim=True) for m in (x, y))
        x, y = x / scale, y / other
        for linear, cubic in NEWTON_SCHULZ:
            step = torch.baddbmm(eye, y, x, beta=linear, alpha=cubic)
            x, y = x @ step, step @ y
        moved: Tensor = x * (scale / other).sqrt()
    return moved.reshape(target.shape)


class RunningMoments(nn.Module):
    """First two moments of the points of each class, over the pictures seen last: the state.

    Args:
        num_classes: K.
        size: D, coordinates of a point.
        memory: Pictures that are remembered.
    """

    def __init__(self, num_classes: int, size: int, *, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.weight: Tensor
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("weight", torch.zeros(num_classes))
        self.register_buffer("first", torch.zeros(num_classes, size))
        self.register_buffer("second", torch.zeros(num_classes, size, size))


class GaussianTransport(nn.Module):
    """For each class, the transport of a running cloud of points to that class's Gaussian.

    The state, which :class:`lgt.energy.transports.TransportStack` fills and applies. A batch is
    judged as part of all that was seen lately and not by its own few points: the gradient carries
    no sampling noise of a comparison.

    Args:
        means: `[K, D]`, of the targets.
        covariances: `[K, D, D]`.
        units: `[K]`: distances that count as 1.
        memory: Pictures that the moments remember.
    """

    def __init__(
        self,
        means: Float[Tensor, "K D"],
        covariances: Float[Tensor, "K D D"],
        units: Float[Tensor, " K"],
        *,
        memory: int,
    ) -> None:
        super().__init__()
        self.means: Tensor
        self.covariances: Tensor
        self.units: Tensor
        self.origin: Tensor
        self.map: Tensor
        for name, value in (("means", means), ("covariances", covariances), ("units", units)):
            self.register_buffer(name, value.float(), persistent=False)
        self.seen = RunningMoments(*means.shape, memory=memory)
        self.register_buffer("origin", torch.zeros_like(self.seen.first))
        self.register_buffer("map", torch.zeros_like(self.seen.second))
