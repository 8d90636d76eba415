"""Distance of collections: all outputs of a style against all of its works.

A style is what a collection has in common, so the collection is compared, not single outputs: the
Gaussians of features over all outputs that the network made lately, and over all works. Twice:
position by position (brush work, grain, palette), and picture by picture in the few directions in
which styles differ most, Fisher's discriminants (what a viewer would tell the style by).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lgt.energy.gaussian import GaussianTransport, gaussian_wasserstein_sq
from lgt.energy.processes import num_processes, summed
from lgt.energy.state import Part, State, Value
from lgt.exact import exact_matmul

Clips = Iterable[tuple[list[Tensor], Tensor]]
"""Feature maps of some works, and the style of each, batch by batch."""

NUM_BRANCHES = 2
"""Views of a picture that one network has: in colour and in grey."""


def position_maps(
    maps: Sequence[Float[Tensor, "B _ _ _"]], num_branches: int = NUM_BRANCHES
) -> list[Tensor]:
    """Return maps whose points stand for about as much of the picture each.

    Maps come in branches of equal depth. The first one of a branch holds 2 x 2 neighbours stacked;
    the others are averaged over 2 x 2.
    """
    depth = len(maps) // num_branches
    return [m.float() if i % depth == 0 else _halved(m) for i, m in enumerate(maps)]


def picture_statistics(
    maps: Sequence[Float[Tensor, "B _ _ _"]], num_branches: int = NUM_BRANCHES
) -> list[Float[Tensor, "B _"]]:
    """Return, for each branch, mean and deviation of every channel over each picture."""
    depth = len(maps) // num_branches
    found = []
    for start in range(0, len(maps), depth):
        first = _means_of_four(maps[start])
        parts = []
        for layer in [first, *map(_halved, maps[start + 1 : start + depth])]:
            flat = layer.flatten(2)
            # The floor keeps the root's slope finite on plain surfaces.
            parts += [flat.mean(2), (flat.var(2, unbiased=False) + 1e-4).sqrt()]
        found.append(torch.cat(parts, dim=1))
    return found


def discriminant_directions(
    points: Float[Tensor, "N D"], labels: Int[Tensor, " N"], *, shrinkage: float = 0.1
) -> Float[Tensor, "D K"]:
    """Return Fisher's directions, at most classes - 1: within a class, coordinates vary by 1.

    Args:
        points: Of all classes.
        labels: Class of each, 0 to classes - 1.
        shrinkage: Share of the covariance within classes that is replaced by a multiple of the
            identity, after each axis was scaled to unit deviation.

    References:
        Rao, The Utilization of Multiple Measurements in Problems of Biological Classification,
        1948, https://doi.org/10.1111/j.2517-6161.1948.tb00008.x
    """
    scale = points.double().std(0) + 1e-8
    x = points.double() / scale
    kinds = sorted(set(labels.tolist()))
    means = torch.stack([x[labels == kind].mean(0) for kind in kinds])
    within = x.new_zeros(x.shape[1], x.shape[1])
    for kind, mean in zip(kinds, means, strict=True):
        rest = x[labels == kind] - mean
        within += rest.T @ rest / len(rest) / len(kinds)
    level = within.trace() / len(within)
    eye = torch.eye(len(within), dtype=x.dtype, device=x.device)
    values, basis = torch.linalg.eigh((1 - shrinkage) * within + shrinkage * level * eye)
    whitening = basis * values.clamp(min=1e-12).rsqrt()
    between = whitening.T @ (means - means.mean(0)).T
    directions, _, _ = torch.linalg.svd(between, full_matrices=False)
    found: Tensor = whitening @ directions[:, : len(kinds) - 1] / scale[:, None]
    return found.float()


def recognition_loss(
    points: Float[Tensor, "B D"], centres: Float[Tensor, "K D"], label: int
) -> Float[Tensor, " B"]:
    """Return the cross-entropy of telling a class from the place among discriminants.

    Within a class the coordinates vary by 1, so classes are told by the nearest centre: 0 for
    points that are safely nearest to theirs, where a distance would still pull.
    """
    scores = exact_matmul(points, centres.T) - centres.square().sum(1) / 2
    labels = torch.full((len(points),), label, device=points.device)
    return F.cross_entropy(scores, labels, reduction="none")


class CollectionTerms(NamedTuple):
    """Distances of collections, each a sum over outputs, divided by the batch."""

    positions: Tensor
    """Squared Frechet distance by features of positions."""
    pictures: Tensor
    """The same by what pictures are told apart by, Fisher's discriminants."""
    recognition: Tensor
    """Cross-entropy of telling each output's style by these."""


class CollectionDistance(nn.Module):
    """Squared Frechet distances of outputs to works, by features of positions and of pictures.

    A style's distance by positions counts as 1 for the photos, or whatever the origin's pictures
    are; by pictures, the mean over styles does, since discriminants are in one unit already; so it
    is with the recognition of single outputs.

    Args:
        clips: Feature maps of works of all styles, taken as those of outputs are.
        num_styles: Number of styles.
        origin: Style whose distance to the others is the unit.
        memory: Outputs of a style that are remembered.
        num_branches: Views that the feature maps are of: two for each network.

    Note:
        The running moments are part of a run's state: `state_dict` holds them.
    """

    def __init__(
        self,
        clips: Clips,
        *,
        num_styles: int,
        origin: int,
        memory: int,
        num_branches: int = NUM_BRANCHES,
    ) -> None:
        super().__init__()
        self.origin, self.num_branches = origin, num_branches
        statistics, labels, sums = [], [], _Sums(num_styles)
        for maps, style_ids in clips:
            sums.add([_points(m) for m in position_maps(maps, num_branches)], style_ids)
            statistics.append(picture_statistics(maps, num_branches))
            labels.append(style_ids.cpu())
        by_position = [self._transport(*moments, memory) for moments in sums.moments()]
        styles = torch.cat(labels)
        by_picture = []
        self.directions: list[Tensor] = []
        self.centres: list[Tensor] = []
        self.recognition_units: list[Tensor] = []
        for branch in zip(*statistics, strict=True):
            points = torch.cat(branch)
            directions = discriminant_directions(points, styles.to(points.device))
            where = [exact_matmul(points, directions)[styles == k] for k in range(num_styles)]
            means = torch.stack([p.mean(0) for p in where])
            covariances = torch.stack([_covariance(p) for p in where])
            self.directions.append(directions)
            transport = self._transport(means, covariances, memory)
            # One unit for all: a style far from the photos needs the longer push.
            others = [k for k in range(num_styles) if k != origin]
            transport.units[others] = transport.units[others].mean()
            by_picture.append(transport)
            self.centres.append(means)
            taken = [recognition_loss(where[origin], means, k).mean() for k in others]
            self.recognition_units.append(torch.stack(taken).mean().clamp(min=1e-6))
        self._positions, self._pictures = by_position, by_picture
        self.positions, self.pictures = nn.ModuleList(by_position), nn.ModuleList(by_picture)
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def forward(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]] | None, targets: Int[Tensor, " B"]
    ) -> CollectionTerms:
        """Take outputs of all processes into the moments; return the distances of these.

        Args:
            maps: Feature maps of outputs; None where a batch has none: other processes may have.
            targets: Style of each; those below 0 take no part.
        """
        by_position, by_picture = self._points(maps)
        positions = pictures = recognition = by_position[0].new_zeros((), dtype=torch.float32)
        counts = torch.bincount(targets[targets >= 0], minlength=len(self._positions[0].means))
        together = summed(counts.to(positions.device)).tolist()
        styles = [style for style, count in enumerate(together) if count]
        # Moments move slowly: one style's large maps are computed anew at each step.
        due = styles[int(self.turn) % len(styles)] if styles else -1
        for style in styles:
            rows = torch.where(targets == style)[0]
            share = len(rows) / max(1, len(targets))
            for transport, layer in zip(self._positions, by_position, strict=True):
                points = layer[rows.to(layer.device)].flatten(0, 1)
                moved = _motion(transport, style, points, together[style], is_due=style == due)
                positions = positions + share * moved / len(self.positions)
            for branch, layer in enumerate(by_picture):
                points = layer[rows.to(layer.device)]
                moved = _motion(self._pictures[branch], style, points, together[style], is_due=True)
                pictures = pictures + share * moved / len(self.pictures)
                if not len(rows):
                    continue
                missed = recognition_loss(points, self.centres[branch], style).mean()
                missed = missed / self.recognition_units[branch]
                recognition = recognition + share * missed / len(self.pictures)
        self.turn += 1
        return CollectionTerms(positions, pictures, recognition)

    def _points(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]] | None
    ) -> tuple[list[Float[Tensor, "B _ _"]], list[Float[Tensor, "B _"]]]:
        """Return points of positions, layer by layer, and of pictures, branch by branch."""
        if maps is None:
            sizes = (t.means for t in self._positions), (t.means for t in self._pictures)
            return [m[:0, None] for m in sizes[0]], [m[:0] for m in sizes[1]]
        layers = position_maps(maps, self.num_branches)
        statistics = picture_statistics(maps, self.num_branches)
        return [m.flatten(2).transpose(1, 2) for m in layers], [
            exact_matmul(s, d) for s, d in zip(statistics, self.directions, strict=True)
        ]

    def _transport(self, means: Tensor, covariances: Tensor, memory: int) -> GaussianTransport:
        units = [
            gaussian_wasserstein_sq(
                means[self.origin], covariances[self.origin], means[k], covariances[k]
            )
            if k != self.origin
            else means.new_ones((), dtype=torch.float64)
            for k in range(len(means))
        ]
        return GaussianTransport(
            means, covariances, torch.stack(units).clamp(min=1e-6), memory=memory
        )


class Collection:
    """The distance of collections as a term of the style energy.

    Args:
        distance: The distance, a module with a memory.
        gains: Factors of `collection`, `discriminant` and `recognition`.
    """

    part: Part = "style"

    def __init__(self, distance: CollectionDistance, gains: Mapping[str, float]) -> None:
        self.distance, self.gains = distance, gains

    def __call__(self, state: State) -> dict[str, Value]:
        """Return the three distances; 0 where nothing is styled."""
        means, maps = [state.zero] * 3, state.view.maps
        if maps is not None or num_processes() > 1:  # What others made is to be taken in.
            means = list(self.distance(None if maps is None else maps.style, state.targets))
        names = ("collection", "discriminant", "recognition")
        return {n: Value(state.share * mean) for n, mean in zip(names, means, strict=True)}


class _Sums:
    """First and second moments of each layer's points, style by style."""

    def __init__(self, num_styles: int) -> None:
        self.num_styles = num_styles
        self.layers: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, layers: Sequence[Float[Tensor, "B _ _"]], style_ids: Tensor) -> None:
        for index, points in enumerate(layers):
            size = points.shape[-1]
            if index == len(self.layers):
                empty = points.new_zeros(self.num_styles, size, size, dtype=torch.float64)
                self.layers.append((empty[:, 0, 0].clone(), empty[:, 0].clone(), empty))
            count, first, second = self.layers[index]
            for row, kind in zip(points, style_ids.tolist(), strict=True):
                count[kind] += len(row)
                first[kind] += row.sum(0)
                second[kind] += exact_matmul(row.T, row)

    def moments(self) -> list[tuple[Float[Tensor, "K D"], Float[Tensor, "K D D"]]]:
        """Return means and covariances of each layer."""
        found = []
        for count, first, second in self.layers:
            means = first / count[:, None]
            squares = means[:, :, None] * means[:, None, :]
            found.append((means, second / count[:, None, None] - squares))
        return found


def _motion(
    transport: GaussianTransport, style: int, points: Tensor, num_pictures: int, *, is_due: bool
) -> Tensor:
    """Take points into the moments and return their motion; 0 while too little was seen."""
    transport.seen.observe(style, points, num_pictures)
    if not transport.seen.is_ready(style):
        return points.new_zeros(())
    if is_due or not transport.is_known(style):
        transport.refresh(style)
    if not len(points):
        return points.new_zeros(())
    moved: Tensor = transport(style, points)
    return moved


def _means_of_four(layer: Float[Tensor, "B _ h w"]) -> Float[Tensor, "B _ h w"]:
    """Return the means of the neighbours that `pixel_unshuffle` stacked."""
    batch, channels, height, width = layer.shape
    return layer.float().reshape(batch, channels // 4, 4, height, width).mean(2)


def _halved(layer: Tensor) -> Tensor:
    return F.avg_pool2d(layer.float(), 2) if min(layer.shape[-2:]) > 1 else layer.float()


def _points(layer: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N C"]:
    return layer.flatten(2).transpose(1, 2)


def _covariance(points: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    rest = points - points.mean(0)
    return exact_matmul(rest.T, rest) / max(len(points) - 1, 1)
