"""Thin bindings of the pure functions: patch distributions, colours, self-similarity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.functional import (
    Lines,
    line_distances,
    project_patches,
    promoted,
    random_directions,
    self_similarity_distance_sq,
    unfold_patches,
)
from lgt.exact import exact_matmul


def draw_columns(cloud: Tensor, count: int, generator: Generator | None) -> Tensor:
    """Keep `count` random columns of `[..., N]`, or all if there are no more than that."""
    size = cloud.shape[-1]
    if size <= count:
        return cloud
    kept = torch.randperm(size, generator=generator)[:count]
    return cloud.index_select(-1, sent(kept, cloud.device))


class PatchSWD:
    """Squared sliced Wasserstein distance between the patches of outputs and of reference works.

    The documented pipeline (unfold, sample, project, sort, squared difference), with the first
    three steps done by one convolution.

    Args:
        patch_size: Side of a patch, in taps.
        dilation: Distance between taps.
        num_projections: Random directions per call.
        max_samples: Most patches kept of one output, and of all reference works together.
        transform: Linear map applied to patches before projection, such as a whitening.
    """

    def __init__(
        self,
        *,
        patch_size: int,
        dilation: int = 1,
        num_projections: int = 64,
        max_samples: int = 4096,
        transform: Float[Tensor, "D D"] | None = None,
    ) -> None:
        self.patch_size, self.dilation = patch_size, dilation
        self.num_projections, self.max_samples = num_projections, max_samples
        self.transform = transform

    def directions(self, channels: int, generator: Generator | None) -> Float[Tensor, "D P"]:
        """Draw this call's directions, with the transform folded in."""
        dim = channels * self.patch_size**2
        theta = random_directions(dim, self.num_projections, generator)
        if self.transform is None:
            return theta
        theta = sent(theta.to(self.transform.dtype), self.transform.device)
        return exact_matmul(self.transform, theta)

    def __call__(
        self,
        x: Float[Tensor, "G B C H W"],
        works: Float[Tensor, "#G K C h w"],
        generator: Generator | None = None,
    ) -> Float[Tensor, " G"]:
        """Compare groups of outputs with groups of works: pooled inside, apart across groups.

        Args:
            x: G groups of B outputs.
            works: For each group, K works.
            generator: CPU generator of directions and samples.
        """
        return line_distances([self.lines(x, works, generator)])[0]

    def lines(
        self,
        x: Float[Tensor, "G B C H W"],
        works: Float[Tensor, "#G K C h w"],
        generator: Generator | None = None,
    ) -> Lines:
        """Return the values of outputs and of works along each direction."""
        theta = sent(self.directions(x.shape[2], generator), x.device)
        x_line = self._project(x, theta)
        x_line = draw_columns(x_line, self.max_samples * x.shape[1], generator)
        count = x_line.shape[-1]
        with torch.no_grad():
            # Whole multiples of the output's count make each quantile slice a plain mean.
            budget = max(self.max_samples, count) // count * count
            return x_line, draw_columns(self._project(works, theta), budget, generator)

    def _project(self, x: Tensor, theta: Tensor) -> Float[Tensor, "G P N"]:
        groups, images = x.shape[:2]
        lines = project_patches(promoted(x).flatten(0, 1), theta, self.patch_size, self.dilation)
        return lines.reshape(groups, images, *lines.shape[1:]).transpose(1, 2).flatten(2)


class SelfSimilarity:
    """Mean squared difference of cosine self-similarity matrices, averaged over scales.

    Args:
        patch_size: Side of the patches compared; 1 compares single positions (the documented form).
        scales: Average-pooling factors.
        max_positions: Most positions of one matrix; more are sampled at random.
        is_centered: Subtract the picture's mean first, so that a common shift of colour is free, as
            a common scale is; without it such a shift changes every cosine.

    Note:
        Cosines do not change when all channels are rotated together, inversion of colours included,
        whatever the patch size: this energy alone does not fix colours.
    """

    def __init__(
        self,
        *,
        patch_size: int = 1,
        scales: tuple[int, ...] = (1,),
        max_positions: int = 1024,
        is_centered: bool = False,
    ) -> None:
        self.patch_size, self.scales, self.max_positions = patch_size, scales, max_positions
        self.is_centered = is_centered

    def __call__(
        self,
        x: Float[Tensor, "B C H W"],
        x_src: Float[Tensor, "B C H W"],
        generator: Generator | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the content distance of each output to its source, in [0, 4]."""
        values = []
        for scale in self.scales:
            if min(x.shape[-2:]) < scale * self.patch_size:
                continue
            pair = []
            for image in (promoted(x), promoted(x_src)):
                if self.is_centered:
                    image = image - image.mean(dim=(2, 3), keepdim=True)
                pooled = F.avg_pool2d(image, scale) if scale > 1 else image
                pair.append(unfold_patches(pooled, self.patch_size))
            size = pair[0].shape[1]
            if size > self.max_positions:
                kept = torch.randperm(size, generator=generator)[: self.max_positions]
                there = sent(kept, x.device)
                pair = [features.index_select(1, there) for features in pair]
            values.append(self_similarity_distance_sq(*pair))
        if not values:
            return promoted(x).new_zeros(len(x))
        return torch.stack(values).mean(0)
