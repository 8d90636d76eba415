"""The energies as pure functions of latents.

Conventions: clouds are `[..., N]` along one projection, sorted or not; every function promotes
half precision to float32 and keeps float64, under autocast too; results are means unless the name
says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lgt.exact import exact_conv2d, exact_matmul

Lines = tuple[Float[Tensor, "_ _ _"], Float[Tensor, "_ _ _"]]
"""Values `[G, P, N]` of G groups of outputs along P directions, and of works: `[G or 1, P, M]`."""


def promoted(x: Tensor) -> Tensor:
    """Return `x` in at least float32; sorting and large sums lose too much in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unfold_patches(
    x: Float[Tensor, "B C H W"], patch_size: int, dilation: int = 1
) -> Float[Tensor, "B N D"]:
    """Return every patch that fits inside, as vectors of D = C * patch_size**2 values.

    Args:
        x: Latents.
        patch_size: Side of a patch, in taps.
        dilation: Distance between taps, in latent pixels.
    """
    return F.unfold(x, patch_size, dilation=dilation).transpose(1, 2)


def random_directions(
    dim: int, num_projections: int, generator: Generator | None = None
) -> Float[Tensor, "D P"]:
    """Draw directions uniformly from the unit sphere, as columns; float32 on the CPU."""
    theta = torch.randn(dim, num_projections, generator=generator)
    return F.normalize(theta, dim=0)


def project_patches(
    x: Float[Tensor, "B C H W"], theta: Float[Tensor, "D P"], patch_size: int, dilation: int = 1
) -> Float[Tensor, "B P N"]:
    """Return `unfold_patches(x) @ theta`, transposed, without forming the patches.

    A projection of all patches is a convolution whose kernels are the directions.
    """
    kernels = theta.T.reshape(-1, x.shape[1], patch_size, patch_size).to(x)
    return exact_conv2d(x, kernels, dilation).flatten(2)


def sorted_values(x: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
    """Return `x` sorted along the last axis, without gradient.

    On a CPU NumPy's sort is used, since PyTorch's also computes the permutation, which nothing here
    needs.
    """
    x = x.detach()
    if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(x.numpy(), axis=-1))
    return x.sort(dim=-1).values


def matched_values(
    x: Float[Tensor, "*batch N"], y_sorted: Float[Tensor, "*#batch N"]
) -> Float[Tensor, "*batch N"]:
    """Return for each value of `x` the sorted value of the same rank, in the order of `x`.

    Optimal transport on a line pairs values of the same rank, so `(x - matched_values(x, y))**2`
    is what `x.sort() - y` squared is, in another order; but only ranks are needed and no gradient
    flows through a sort. There is none to either argument. On a CPU NumPy ranks, several times as
    fast as PyTorch.
    """
    x, y_sorted = x.detach(), y_sorted.detach()
    if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64):
        order = torch.from_numpy(np.argsort(x.numpy(), axis=-1))
    else:
        order = x.argsort(dim=-1)
    return torch.zeros_like(x).scatter_(-1, order, y_sorted.expand_as(x))


def quantile_means(y_sorted: Float[Tensor, "*batch M"], count: int) -> Float[Tensor, "*batch N"]:
    """Average a sorted cloud over `count` equal slices of its quantile function.

    In one dimension optimal transport couples the i-th of N points with the i-th such slice, so
    these means are all that the gradient with respect to the N points depends on.
    """
    size = y_sorted.shape[-1]
    if size == count:
        return y_sorted
    if size % count == 0:
        return y_sorted.reshape(*y_sorted.shape[:-1], count, size // count).mean(-1)
    # Integral of the piecewise constant quantile function over [i / count, (i + 1) / count].
    mass = F.pad(y_sorted.cumsum(-1), (1, 0))
    edges = torch.arange(count + 1, device=y_sorted.device, dtype=y_sorted.dtype) * (size / count)
    low = edges.floor().long().clamp(max=size)
    high = (low + 1).clamp(max=size)
    at_edge = mass[..., low] + (edges - low) * (mass[..., high] - mass[..., low])
    return at_edge.diff(dim=-1) * (count / size)


def line_distances(pairs: Sequence[Lines]) -> list[Float[Tensor, " _"]]:
    """Return the squared 2-Wasserstein distances of clouds along lines, meaned over the lines.

    Clouds of one size are sorted together, whatever they are of.
    """
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, (x, y) in enumerate(pairs):
        alike[(*x.shape[1:], y.shape[-1])].append(index)
    found = dict[int, Tensor]()
    for rows in alike.values():
        x = torch.cat([pairs[row][0] for row in rows])
        counts = [len(pairs[row][0]) for row in rows]
        # Works of a style may serve all its outputs: they are sorted once.
        sizes = [len(pairs[row][1]) for row in rows]
        y = quantile_means(sorted_values(torch.cat([pairs[row][1] for row in rows])), x.shape[-1])
        if sizes != counts:
            parts = zip(torch.split(y, sizes), counts, strict=True)
            y = torch.cat([part.expand(count, *part.shape[1:]) for part, count in parts])
        distances = (x - matched_values(x, y)).square().mean(dim=(1, 2))
        found |= zip(rows, torch.split(distances, counts), strict=True)
    return [found[index] for index in range(len(pairs))]


def wasserstein_sq_1d(
    x: Float[Tensor, "*batch N"], y: Float[Tensor, "*batch M"]
) -> Float[Tensor, "*batch"]:
    """Return the squared 2-Wasserstein distance of clouds on a line, row by row.

    Exact for equal sizes. Otherwise `y` enters through its :func:`quantile_means`: the value is
    exact up to the variance of `y` within slices, which is constant in `x`.
    """
    x_sorted = promoted(x).sort(dim=-1).values
    y_sorted = promoted(y).sort(dim=-1).values
    return (x_sorted - quantile_means(y_sorted, x.shape[-1])).square().mean(-1)


def sliced_wasserstein_sq(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "M D"],
    *,
    num_projections: int = 64,
    generator: Generator | None = None,
) -> Float[Tensor, ""]:
    """Estimate the squared sliced 2-Wasserstein distance of two point clouds.

    `mean over theta of W2(theta . x, theta . y)**2`, theta uniform on the unit sphere. A shift of
    one cloud by `s` gives `|s|**2 / D` on average.

    References:
        Rabin et al., Wasserstein Barycenter and its Application to Texture Mixing, 2012, section 2,
        https://doi.org/10.1007/978-3-642-24785-9_37
    """
    x, y = promoted(x), promoted(y)
    theta = random_directions(x.shape[1], num_projections, generator).to(x)
    return wasserstein_sq_1d(exact_matmul(x, theta).T, exact_matmul(y, theta).T).mean()


def cosine_self_similarity(features: Float[Tensor, "B N D"]) -> Float[Tensor, "B N N"]:
    """Return the cosines between all pairs of positions, in [-1, 1]; invariant to their lengths."""
    z = F.normalize(promoted(features), dim=-1)
    return exact_matmul(z, z.transpose(1, 2))


def self_similarity_distance_sq(
    x: Float[Tensor, "B N D"], y: Float[Tensor, "B N D"]
) -> Float[Tensor, " B"]:
    """Return `|A(x) - A(y)|_F**2 / N**2`, the mean squared difference of cosines, in [0, 4].

    With `A(x) = Z Z'`, `A(y) = W W'`, `P = Z + W` and `M = Z - W` the difference is
    `(P M' + M P') / 2`, whose squared norm is `(tr(M'P M'P) + tr(M'M P'P)) / 2`: products of size
    D x D. They replace those of size N x N wherever D is less than N, and unlike
    `|Z'Z|**2 - 2 |Z'W|**2 + |W'W|**2` do not cancel where x is near y.

    Note:
        The specification's plain Frobenius norm grows with the number of positions; dividing by
        N**2 makes weights independent of the image size.
    """
    size, dim = x.shape[1:]
    if dim >= size:
        difference = cosine_self_similarity(x) - cosine_self_similarity(y)
        return difference.square().mean(dim=(1, 2))
    z, w = (F.normalize(promoted(features), dim=-1) for features in (x, y))
    plus, minus = z + w, (z - w).transpose(1, 2)
    mixed, own = exact_matmul(minus, plus), exact_matmul(minus, minus.transpose(1, 2))
    total = mixed * mixed.transpose(1, 2) + own * exact_matmul(plus.transpose(1, 2), plus)
    return total.sum(dim=(1, 2)) / (2 * size**2)
