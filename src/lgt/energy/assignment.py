"""Assignment: which works of a style are the reference of which source.

A style is a collection, and its works differ more from each other (dark and bright, calm and busy)
than collections do. Matching every output to the whole collection therefore spends the energy on
removing what is particular to the picture: each would hold every colour of the collection. Optimal
transport pairs each source with the works nearest to it, while all works are used evenly, so the
outputs together take the collection's distribution with the least change to each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BAND_SCALES = (1, 2, 4)
"""Average-pooling factors of the octave bands whose strength and sparsity are compared."""


def image_statistics(latents: Float[Tensor, "N C H W"]) -> Float[Tensor, "N S"]:
    """Describe palette and texture of each latent, per channel.

    Mean and deviation; then, for each octave band, the logarithm of its deviation and its sparsity
    (mean absolute value over deviation). S = C * (2 + 2 * bands that fit).
    """
    statistics = [latents.mean(dim=(2, 3)), latents.std(dim=(2, 3))]
    for scale in BAND_SCALES:
        if min(latents.shape[-2:]) < 4 * scale:
            continue
        pooled = F.avg_pool2d(latents, scale)
        band = pooled - F.avg_pool2d(F.pad(pooled, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
        deviation = band.std(dim=(2, 3)).clamp(min=1e-6)
        statistics += [deviation.log(), band.abs().mean(dim=(2, 3)) / deviation]
    return torch.cat(statistics, dim=1)


def sinkhorn_log_plan(
    cost: Float[Tensor, "N M"], *, regularisation: float, num_iterations: int = 100
) -> Float[Tensor, "N M"]:
    """Return log-probabilities over works for each source: a row-normalised entropic plan.

    Rows of the underlying plan have equal mass, and so, to convergence, have its columns.

    Args:
        cost: Cost of pairing source n with work m.
        regularisation: Entropy weight, in units of cost; smaller is nearer a hard assignment.
        num_iterations: Alternating normalisations.

    References:
        Cuturi, Sinkhorn Distances, 2013, algorithm 1, https://arxiv.org/abs/1306.0895
    """
    log_plan = -cost / regularisation
    for _ in range(num_iterations):
        log_plan = log_plan - log_plan.logsumexp(dim=0, keepdim=True)
        log_plan = log_plan - log_plan.logsumexp(dim=1, keepdim=True)
    return log_plan


def assign_works(
    sources: Float[Tensor, "N S"], works: Float[Tensor, "M S"], *, softness: float = 0.05
) -> Float[Tensor, "N M"]:
    """Return the probability that source n takes work m as its reference; rows sum to 1.

    Args:
        sources: Statistics of the sources, in comparable units.
        works: Statistics of the works of one style.
        softness: Entropy weight as a fraction of the mean cost. The mean of each
            set is removed, so that the plan does not depend on a common shift between them.
    """
    sources, works = sources.double(), works.double()
    cost = torch.cdist(sources - sources.mean(0), works - works.mean(0)).square()
    regularisation = max(softness * float(cost.mean()), 1e-8)
    return sinkhorn_log_plan(cost, regularisation=regularisation).exp().float()
