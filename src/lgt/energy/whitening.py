"""Whitening of texture patches: what makes fine and coarse texture count alike."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lgt.energy.functional import unfold_patches
from lgt.exact import exact_matmul


def channel_mean_removal(channels: int, patch_size: int) -> Float[Tensor, "D D"]:
    """Return the projector that subtracts from a patch its mean in each channel."""
    taps = patch_size * patch_size
    per_channel = torch.eye(taps) - torch.full((taps, taps), 1 / taps)
    return torch.kron(torch.eye(channels), per_channel)


def texture_whitening(
    latents: Float[Tensor, "N C H W"],
    patch_size: int,
    dilation: int,
    *,
    floor: float = 0.03,
) -> Float[Tensor, "D D"]:
    """Return the matrix W that maps patches (rows) to whitened texture, `patch @ W`.

    The channel means of each patch are removed first. Whitened texture has about unit covariance
    over `latents`.

    Args:
        latents: Works of all styles, in equal shares.
        patch_size: Side of a patch, in taps.
        dilation: Distance between taps.
        floor: Variance added to each principal direction, as a fraction of the mean variance, so
            that directions that carry codec noise are not blown up.
    """
    remove = channel_mean_removal(latents.shape[1], patch_size).to(latents)
    patches = unfold_patches(latents, patch_size, dilation).flatten(0, 1)
    whitening = whitening_of(exact_matmul(patches, remove), floor=floor)
    return exact_matmul(remove, whitening)


def whitening_of(points: Float[Tensor, "N D"], *, floor: float = 0.03) -> Float[Tensor, "D D"]:
    """Return the symmetric matrix W that gives centred points (rows) about unit covariance.

    Args:
        points: A cloud whose mean is about zero.
        floor: See :func:`texture_whitening`.
    """
    covariance = (exact_matmul(points.T, points) / len(points)).double()
    variance, basis = torch.linalg.eigh(covariance)
    mean_variance = variance.mean().clamp(min=1e-12)
    root = (variance.clamp(min=0) + floor * mean_variance).rsqrt()
    whitening: Tensor = (basis @ torch.diag(root) @ basis.T).to(points)
    return whitening
