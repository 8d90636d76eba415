"""Distance of collections: all outputs of a style against all of its works.

A style is what a collection has in common, so the collection is compared, not single outputs: the
Gaussians of features over all outputs that the network made lately, and over all works. Twice:
position by position (brush work, grain, palette), and picture by picture in the few directions in
which styles differ most, Fisher's discriminants (what a viewer would tell the style by).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lgt.device import sent
from lgt.energy.gaussian import READY, GaussianTransport, gaussian_wasserstein_sq
from lgt.energy.processes import counted, num_processes
from lgt.energy.state import Part, State, Value
from lgt.energy.transports import Members, TransportStack
from lgt.energy.works import WorksGaussians, WorksMoments
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
    found = dict[int, Tensor]()
    for rows, layers in stacks_of(maps, lambda i: i % depth == 0):
        layers = layers.float()
        if rows[0] % depth and min(layers.shape[-2:]) > 1:
            halved = F.avg_pool2d(layers.flatten(0, 1), 2)
            layers = halved.reshape(*layers.shape[:3], *halved.shape[-2:])
        found |= zip(rows, layers.unbind(), strict=True)
    return [found[index] for index in range(len(maps))]


def stacks_of(
    maps: Sequence[Tensor], kind: Callable[[int], object] = lambda _: None
) -> list[tuple[list[int], Tensor]]:
    """Return maps of one shape stacked, with their places; those of another `kind` lie apart."""
    alike: dict[object, list[int]] = defaultdict(list)
    for index, layer in enumerate(maps):
        alike[layer.shape, kind(index)].append(index)
    return [(rows, torch.stack([maps[i] for i in rows])) for rows in alike.values()]


def picture_statistics(
    maps: Sequence[Float[Tensor, "B _ _ _"]], num_branches: int = NUM_BRANCHES
) -> list[Float[Tensor, "B _"]]:
    """Return, for each branch, mean and deviation of every channel over each picture."""
    depth = len(maps) // num_branches
    return statistics_of(position_maps(maps, num_branches), num_branches, depth)


def statistics_of(
    positions: Sequence[Float[Tensor, "B _ _ _"]], num_branches: int, depth: int
) -> list[Float[Tensor, "B _"]]:
    """Return :func:`picture_statistics` of maps that :func:`position_maps` made."""
    found = dict[int, Tensor]()
    for rows, layers in stacks_of(positions, lambda i: i % depth == 0):
        if rows[0] % depth == 0:  # The means of the neighbours that `pixel_unshuffle` stacked.
            count, batch, channels, height, width = layers.shape
            layers = layers.reshape(count, batch, channels // 4, 4, height, width).mean(3)
        flat = layers.flatten(3)
        # The floor keeps the root's slope finite on plain surfaces.
        pair = [flat.mean(3), (flat.var(3, unbiased=False) + 1e-4).sqrt()]
        found |= zip(rows, torch.cat(pair, dim=2).unbind(), strict=True)
    return [
        torch.cat([found[start + i] for i in range(depth)], dim=1)
        for start in range(0, num_branches * depth, depth)
    ]


@torch.no_grad()
def gaussians_of(clips: Clips, *, num_styles: int, num_branches: int) -> WorksGaussians:
    """Return the Gaussians of the positions of some works, on the CPU."""
    moments = WorksMoments(num_styles)
    for maps, style_ids in clips:
        moments.add([_points(m) for m in position_maps(maps, num_branches)], style_ids)
    found = moments.gaussians()
    return WorksGaussians(
        tuple(m.float().cpu() for m in found.means),
        tuple(c.float().cpu() for c in found.covariances),
    )


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
    points: Float[Tensor, "*L B D"], centres: Float[Tensor, "*L K D"], labels: Int[Tensor, " B"]
) -> Float[Tensor, "*L B"]:
    """Return the cross-entropy of telling classes from places among discriminants.

    Within a class the coordinates vary by 1, so classes are told by the nearest centre: 0 for
    points that are safely nearest to theirs, where a distance would still pull.
    """
    scores = exact_matmul(points, centres.mT) - centres.square().sum(-1)[..., None, :] / 2
    told = F.log_softmax(scores, dim=-1)
    return -told.gather(-1, labels[:, None].expand(*told.shape[:-1], 1))[..., 0]


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
        self.afar: WorksGaussians | None = None
        """How whole works look from afar, a part of :attr:`works`; None: not known."""
        statistics, labels, moments = [], [], WorksMoments(num_styles)
        for maps, style_ids in clips:
            moments.add([_points(m) for m in position_maps(maps, num_branches)], style_ids)
            statistics.append(picture_statistics(maps, num_branches))
            labels.append(style_ids.cpu())
        near = moments.gaussians()
        pairs = zip(near.means, near.covariances, strict=True)
        by_position = [self._transport(*pair, memory) for pair in pairs]
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
            styles_there = torch.zeros(len(where[origin]), dtype=torch.int64, device=means.device)
            taken = [
                recognition_loss(where[origin], means, torch.full_like(styles_there, k)).mean()
                for k in others
            ]
            self.recognition_units.append(torch.stack(taken).mean().clamp(min=1e-6))
        self.positions, self.pictures = nn.ModuleList(by_position), nn.ModuleList(by_picture)
        self.num_styles, self.memory = num_styles, memory
        self._pictures = TransportStack(by_picture)
        self._positions = [
            (rows, TransportStack([by_position[row] for row in rows]))
            for rows, _ in stacks_of(position_maps(maps, num_branches))
        ]
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))
        self._host: _Host | None = None
        self.register_load_state_dict_post_hook(lambda *_: setattr(self, "_host", None))  # type: ignore[no-untyped-call]

    @property
    def works(self) -> WorksGaussians:
        """Gaussians of the positions of each style's works, on the CPU."""
        layers = [cast(GaussianTransport, layer) for layer in self.positions]
        return WorksGaussians(
            tuple(layer.means.cpu() for layer in layers),
            tuple(layer.covariances.cpu() for layer in layers),
            self.afar,
        )

    def forward(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]] | None, targets: Int[Tensor, " B"]
    ) -> CollectionTerms:
        """Take outputs of all processes into the moments; return the distances of these.

        Args:
            maps: Feature maps of outputs; None where a batch has none: other processes may have.
            targets: Style of each, on the CPU; those below 0 take no part.
        """
        host, device, batch = self._known(), self.centres[0].device, max(1, len(targets))
        members, styles = self._members(targets, host.weight, device)
        is_there, ready = targets >= 0, host.weight > READY
        moved = [style for style in styles if ready[style]]
        # Moments move slowly: one style's large maps are computed anew at each step.
        due = styles[host.turn % len(styles)] if styles else -1
        fresh = [style for style in moved if style == due or style not in host.mapped]
        host.mapped |= set(fresh)
        refreshed, all_moved, shares = (
            sent(x, device)
            for x in (
                torch.tensor(fresh, dtype=torch.int64),
                torch.tensor(moved, dtype=torch.int64),
                (is_there & ready[targets.clamp(min=0)]).float() / batch,
            )
        )
        by_position, by_picture = self._points(maps)
        near = alike = by_picture.new_zeros((), dtype=torch.float32)
        for (_, stack), points in zip(self._positions, by_position, strict=True):
            stack.observe(points, members)
            if fresh:
                stack.refresh(refreshed)
            if moved:
                near = near + (stack.motion(points, members.kinds) * shares).sum()
        self._pictures.observe(by_picture, members)
        if moved:
            self._pictures.refresh(all_moved)
            alike = (self._pictures.motion(by_picture, members.kinds) * shares).sum()
        missed = recognition_loss(by_picture[:, :, 0], torch.stack(self.centres), members.kinds)
        missed = missed / torch.stack(self.recognition_units)[:, None]
        missed = (missed * sent(is_there.float() / batch, device)).sum()
        host.turn += 1
        self.turn += 1
        return CollectionTerms(
            near / len(self.positions), alike / len(self.pictures), missed / len(self.pictures)
        )

    def _known(self) -> _Host:
        """Return what the host knows, which is the same in all processes."""
        if self._host is None:
            first = cast(GaussianTransport, self.positions[0])
            mapped = first.map.flatten(1).any(1).tolist()
            self._host = _Host(
                first.seen.weight.cpu().clone(),
                int(self.turn),
                {style for style, is_mapped in enumerate(mapped) if is_mapped},
            )
        return self._host

    def _members(
        self, targets: Tensor, weight: Tensor, device: torch.device
    ) -> tuple[Members, list[int]]:
        """Return which output is of which style, and the styles that any process has outputs of.

        Fills the memory, `weight`, on the host.
        """
        is_of = targets == torch.arange(self.num_styles)[:, None]
        counts = counted(is_of.sum(1), device)
        shares = (counts / self.memory).clamp(max=1)
        weight.lerp_(torch.ones_like(weight), shares)
        means = is_of / counts.clamp(min=1)[:, None]
        sending = targets.clamp(min=0), means, shares, weight
        styles = [style for style, count in enumerate(counts.tolist()) if count]
        return Members(*(sent(x, device) for x in sending)), styles

    def _points(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]] | None
    ) -> tuple[Iterable[Float[Tensor, "L B N C"]], Float[Tensor, "V B 1 _"]]:
        """Return points of positions, one stack of layers in turn, and of pictures, by branch."""
        if maps is None:
            return (stack.no_points() for _, stack in self._positions), self._pictures.no_points()
        positions = position_maps(maps, self.num_branches)
        statistics = statistics_of(positions, self.num_branches, len(maps) // self.num_branches)
        places = [exact_matmul(s, d) for s, d in zip(statistics, self.directions, strict=True)]
        layers = (torch.stack([positions[row] for row in rows]) for rows, _ in self._positions)
        return (m.flatten(3).transpose(2, 3) for m in layers), torch.stack(places)[:, :, None]

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


@dataclass
class _Host:
    """What the host knows of the moments without asking the device."""

    weight: Tensor
    """Share of each style's memory that is filled."""
    turn: int
    mapped: set[int]
    """Styles whose transport was computed."""


def _points(layer: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N C"]:
    return layer.flatten(2).transpose(1, 2)


def _covariance(points: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    rest = points - points.mean(0)
    return exact_matmul(rest.T, rest) / max(len(points) - 1, 1)
