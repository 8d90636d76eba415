"""Distance of collections: closed forms of Gaussian transport, and what the running moments see."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lgt.energy.collection import (
    CollectionDistance,
    discriminant_directions,
    picture_statistics,
    position_maps,
    recognition_loss,
)
from lgt.energy.gaussian import (
    READY,
    GaussianTransport,
    RunningMoments,
    gaussian_transport,
    gaussian_wasserstein_sq,
    symmetric_root,
)
from lgt.energy.transports import Members, TransportStack
from lgt.train.standing import distances_to_works

NAMES = ("photo", "monet", "ink")


def covariance(size: int, seed: int) -> Tensor:
    a = torch.randn(size, 2 * size, generator=torch.Generator().manual_seed(seed))
    return a @ a.T / size


def test_root_squares_to_the_matrix() -> None:
    matrix = covariance(5, 0).double()
    root = symmetric_root(matrix)
    torch.testing.assert_close(root @ root, matrix)


def test_distance_of_gaussians_on_a_line_is_that_of_means_and_deviations() -> None:
    def line(value: float) -> Tensor:
        return torch.tensor([[value]])

    found = gaussian_wasserstein_sq(torch.tensor([1.0]), line(4.0), torch.tensor([4.0]), line(25.0))
    assert float(found) == pytest.approx((4 - 1) ** 2 + (5 - 2) ** 2)


def test_transport_makes_the_target_covariance_and_costs_the_distance() -> None:
    start, target = covariance(6, 1), covariance(6, 2)
    move = gaussian_transport(start, target, floor=0.0)
    torch.testing.assert_close(move @ start @ move, target, rtol=1e-3, atol=1e-4)
    rest = move - torch.eye(6)
    cost = (rest @ start @ rest).trace()
    zero = torch.zeros(6)
    assert float(cost) == pytest.approx(
        float(gaussian_wasserstein_sq(zero, start, zero, target)), rel=1e-3
    )


def test_transport_is_that_of_eigendecompositions() -> None:
    """Several at once, of spectra over six orders of magnitude; in float64, root by root."""

    def spectrum(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(3, 24, 24, generator=generator).double())[0]
        return (basis * torch.logspace(0, -6, 24).double()) @ basis.mT

    starts, targets = spectrum(0), spectrum(1)
    found = gaussian_transport(starts.float(), targets.float())
    for start, target, move in zip(starts, targets, found, strict=True):
        level = 1e-3 * target.diagonal().mean() * torch.eye(24)
        half = symmetric_root(start + level)
        inverse = torch.linalg.inv(half)
        wanted = inverse @ symmetric_root(half @ (target + level) @ half) @ inverse
        assert (move - wanted).norm() < 1e-4 * wanted.norm()


def test_transport_of_a_flat_cloud_stays_finite() -> None:
    flat = torch.diag(torch.tensor([1.0, 0.0]))
    assert gaussian_transport(flat, torch.eye(2)).isfinite().all()


def cloud(count: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=generator) * torch.tensor([1.0, 2.0, 0.5]) + shift


def gaussian_of(moments: RunningMoments, kind: int) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of what was seen of a class."""
    mean = moments.first[kind] / moments.weight[kind]
    return mean, moments.second[kind] / moments.weight[kind] - torch.outer(mean, mean)


def stack_to(points: Tensor, memory: int = 4) -> TransportStack:
    mean, spread = points.mean(0)[None], torch.cov(points.T)[None]
    return TransportStack([GaussianTransport(mean, spread, torch.ones(1), memory=memory)])


def moved(stack: TransportStack, points: Tensor) -> Tensor:
    """Take points of four pictures of the one class into the moments; return their mean motion."""
    seen = stack.transports[0].seen
    share = torch.tensor([min(1.0, 4 / seen.memory)])
    weight = seen.weight.lerp(torch.ones(1), share)
    kinds, means = torch.zeros(4, dtype=torch.int64), torch.full((1, 4), 0.25)
    layers = points.reshape(1, 4, -1, points.shape[-1])
    stack.observe(layers, Members(kinds, means, share, weight))
    stack.refresh(torch.tensor([0]))
    return stack.motion(layers, kinds).mean()


def test_motion_of_the_whole_cloud_is_the_distance() -> None:
    stack, points = stack_to(cloud(4000, 0)), cloud(4000, 1, shift=2.0)
    found = moved(stack, points)
    (transport,) = stack.transports
    target = transport.means[0], transport.covariances[0]
    distance = float(gaussian_wasserstein_sq(*gaussian_of(transport.seen, 0), *target))
    assert float(found) == pytest.approx(distance, rel=1e-2)
    assert distance == pytest.approx(3 * 2.0**2, rel=0.05)


def test_descent_of_batches_reaches_the_target() -> None:
    """Batches of few points move the parameters of a whole cloud to where the target is."""
    stack = stack_to(cloud(4000, 0, shift=1.0), memory=8)
    shift = torch.zeros(3, requires_grad=True)
    scale = torch.full((3,), 0.3, requires_grad=True)
    optimizer = torch.optim.Adam([shift, scale], lr=0.02)
    for step in range(300):
        points = shift + scale * torch.randn(32, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        moved(stack, points).backward()
        optimizer.step()
    torch.testing.assert_close(shift.detach(), torch.ones(3), atol=0.15, rtol=0)
    torch.testing.assert_close(
        scale.detach().abs(), torch.tensor([1.0, 2.0, 0.5]), atol=0.15, rtol=0
    )


def test_discriminants_find_the_axis_that_classes_differ_in() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(300)
    points = torch.randn(900, 4, generator=generator) * torch.tensor([5.0, 1.0, 1.0, 1.0])
    points[:, 2] += 4 * labels
    directions = discriminant_directions(points, labels, shrinkage=1e-3)
    assert directions.shape == (4, 2)
    first = directions[:, 0] * points.std(0)
    assert float(first[2].abs() / first.norm()) > 0.98
    within = torch.cat([(points[labels == k] @ directions)[:, 0] for k in range(3)])
    middle = torch.stack([within[labels == k].mean() for k in range(3)])
    rest = within - middle[labels]
    assert float(rest.std()) == pytest.approx(1.0, abs=0.1)


def maps_of(batch: int, seed: int, gain: float = 1.0) -> list[Tensor]:
    """Two branches of two layers, the first with 2 x 2 neighbours stacked."""
    g = torch.Generator().manual_seed(seed)
    sizes = [(8, 4), (3, 4), (8, 4), (3, 4)]
    return [gain * torch.randn(batch, c, s, s, generator=g) for c, s in sizes]


def test_maps_are_averaged_and_described_by_branch() -> None:
    maps = maps_of(2, 0)
    assert [tuple(m.shape[1:]) for m in position_maps(maps)] == [
        (8, 4, 4),
        (3, 2, 2),
        (8, 4, 4),
        (3, 2, 2),
    ]
    statistics = picture_statistics(maps)
    assert [tuple(s.shape) for s in statistics] == [(2, 2 * (2 + 3))] * 2


def test_each_view_has_its_own_statistics() -> None:
    """Two networks, each in colour and in grey: four views, and four sets of discriminants."""
    maps = [*maps_of(2, 0), *maps_of(2, 1)]
    sizes = [tuple(m.shape[1:]) for m in position_maps(maps, 4)]
    assert sizes == [(8, 4, 4), (3, 2, 2)] * 4
    assert [tuple(s.shape) for s in picture_statistics(maps, 4)] == [(2, 2 * (2 + 3))] * 4
    clips = [
        (
            [*maps_of(8, seed, gain=1.0 + style), *maps_of(8, 50 + seed, gain=1.0 + style)],
            torch.full((8,), style),
        )
        for style in range(3)
        for seed in range(4)
    ]
    both = CollectionDistance(clips, num_styles=3, origin=0, memory=8, num_branches=4)
    assert len(both.directions) == 4
    targets = torch.full((8,), 2)
    like_works, unlike = maps_of(8, 20, gain=3.0), maps_of(8, 20, gain=1.0)
    for _ in range(10):
        near = both([*like_works, *like_works], targets)
    agreed = float(near.recognition)
    divided = float(both([*like_works, *unlike], targets).recognition)
    assert agreed < 0.1 < 0.3 < divided, "both networks have to be convinced"


def collection(memory: int = 8) -> CollectionDistance:
    clips = [
        (maps_of(8, seed, gain=1.0 + style), torch.full((8,), style))
        for style in range(3)
        for seed in range(4)
    ]
    return CollectionDistance(clips, num_styles=3, origin=0, memory=memory)


def test_outputs_like_the_works_are_near_and_like_the_origin_at_one() -> None:
    like_origin, like_works = collection(), collection()
    targets = torch.full((8,), 2)
    for seed in range(10, 20):
        far = like_origin(maps_of(8, seed, gain=1.0), targets)
        near = like_works(maps_of(8, seed, gain=3.0), targets)
    assert float(near[0]) < 0.2 < 0.6 < float(far[0]) < 1.6
    assert float(near[1]) < 0.3 < float(far[1])
    assert float(near[2]) < 0.1 < 0.5 < float(far[2])


def test_only_what_is_taken_for_another_class_is_pushed() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = torch.tensor([[0.0, 0.0], [9.0, 0.0], [5.0, 0.0]], requires_grad=True)
    loss = recognition_loss(points, centres, torch.ones(3, dtype=torch.int64))
    torch.testing.assert_close(loss[0].detach(), torch.tensor(50.0), rtol=1e-4, atol=0)
    assert float(loss[1].detach()) < 1e-6
    torch.testing.assert_close(loss[2].detach(), torch.tensor(2.0).log(), rtol=1e-4, atol=0)
    loss.sum().backward()
    pushes = points.grad
    assert pushes is not None
    assert float(pushes[0, 0]) < -9 and float(pushes[1].norm()) < 1e-5
    assert float(-pushes[2, 0]) == pytest.approx(5.0, rel=1e-3)


def test_negative_targets_take_no_part() -> None:
    distance = collection()
    found = distance(maps_of(8, 5), torch.full((8,), -1))
    assert float(found[0]) == float(found[1]) == 0.0
    assert not any(float(t.seen.weight.sum()) for t in distance.positions)


@torch.no_grad()
def observe_one(moments: RunningMoments, kind: int, points: Tensor, num_pictures: int) -> None:
    """Take points of some pictures of one class into its moments."""
    share = min(1.0, num_pictures / moments.memory)
    second = points.T @ points / len(points)
    moments.weight[kind].lerp_(torch.ones(()), share)
    moments.first[kind].lerp_(points.mean(0), share)
    moments.second[kind].lerp_(second, share)


def motion_of_one(
    transport: GaussianTransport, kind: int, points: Tensor, *, is_due: bool
) -> Tensor:
    """Return the mean squared motion of points of one class, whose transport is renewed if due."""
    with torch.no_grad():
        if is_due or not transport.map[kind].any():
            mean, spread = gaussian_of(transport.seen, kind)
            transport.origin[kind] = mean
            transport.map[kind] = gaussian_transport(spread, transport.covariances[kind])
        shift = (points - transport.origin[kind]) @ transport.map[kind]
        goals = transport.means[kind] + shift
    return (points - goals).square().sum(-1).mean() / transport.units[kind]


def style_by_style(distance: CollectionDistance, maps: list[Tensor], targets: Tensor) -> Any:
    """Return the distances as they are defined: one style and one layer at a time."""
    positions = [m.flatten(2).transpose(1, 2) for m in position_maps(maps)]
    pictures = [s @ d for s, d in zip(picture_statistics(maps), distance.directions, strict=True)]
    styles = sorted(set(targets.tolist()) - {-1})
    due, sums = styles[int(distance.turn) % len(styles)], [torch.zeros(()) for _ in range(3)]
    for style in styles:
        rows = torch.where(targets == style)[0]
        groups = ((distance.positions, positions), (distance.pictures, pictures))
        for index, (transports, layers) in enumerate(groups):
            for transport, layer in zip(transports, layers, strict=True):
                points = layer[rows].reshape(-1, layer.shape[-1])
                observe_one(transport.seen, style, points, len(rows))
                if not float(transport.seen.weight[style]) > READY:
                    continue
                motion = motion_of_one(transport, style, points, is_due=bool(index) or style == due)
                sums[index] += len(rows) * motion / len(layers)
        for where, centres, unit in zip(
            pictures, distance.centres, distance.recognition_units, strict=True
        ):
            missed = recognition_loss(where[rows], centres, torch.full_like(rows, style)).sum()
            sums[2] += missed / unit / len(pictures)
    distance.turn += 1
    return [value / len(targets) for value in sums]


def test_styles_and_layers_together_are_those_one_by_one() -> None:
    """Values, gradients and moments, while memories fill: some styles are absent at times."""
    together, alone = collection(memory=20), collection(memory=20)
    rounds = [[0, 0, 1, 2], [2, 2, -1, 2], [0, 1, 1, 1], [1, 2, 0, 0], [0, 2, 2, 1], [1, 1, 1, 2]]
    for seed, targets in enumerate(rounds * 2):
        maps = [m.requires_grad_() for m in maps_of(4, seed)]
        copies = [m.detach().clone().requires_grad_() for m in maps]
        found = together(maps, torch.tensor(targets))
        wanted = style_by_style(alone, copies, torch.tensor(targets))
        torch.testing.assert_close(list(found), wanted, rtol=1e-3, atol=1e-5)
        sum(found).backward()
        sum(wanted).backward()
        for a, b in zip(maps, copies, strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)
    assert all(value > 0 for value in wanted)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_points_far_from_the_origin_keep_transports_finite() -> None:
    """Rounding makes variances negative there; a few points in many coordinates have none."""
    size = 7
    transport = GaussianTransport(
        torch.full((2, size), 300.0), torch.eye(size).expand(2, -1, -1), torch.ones(2), memory=4
    )
    stack = TransportStack([transport])
    points = 1000 + torch.randn(1, 4, 1, size, generator=torch.Generator().manual_seed(0))
    kinds = torch.tensor([0, 0, 1, 1])
    means = (kinds == torch.arange(2)[:, None]) / 2
    stack.observe(points, Members(kinds, means, torch.full((2,), 0.5), torch.full((2,), 0.5)))
    stack.refresh(torch.tensor([0, 1]))
    motion = stack.motion(points, kinds)
    torch.testing.assert_close(motion, torch.full((1, 4), size * 700.0**2), rtol=0.05, atol=0)


def test_state_goes_on_where_it_was() -> None:
    first, second = collection(), collection()
    targets = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2])
    for seed in range(3):
        first(maps_of(8, seed), targets)
    second.load_state_dict(first.state_dict())
    for a, b in zip(first(maps_of(8, 9), targets), second(maps_of(8, 9), targets), strict=True):
        assert torch.equal(a, b)


def test_gradient_reaches_the_maps() -> None:
    distance, targets = collection(), torch.full((8,), 1)
    maps = [m.requires_grad_() for m in maps_of(8, 3)]
    torch.stack(distance(maps, targets)).sum().backward()
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in maps)


def test_outputs_like_photos_are_at_one_and_like_works_at_zero() -> None:
    memory = collection()
    for seed in range(10, 20):
        memory(maps_of(8, seed, gain=1.0), torch.full((8,), 2))
    far = distances_to_works(memory, NAMES)
    assert list(far) == ["distance_monet", "distance_ink"]
    assert far["distance_ink"] == pytest.approx(1, abs=0.2)
    assert math.isnan(far["distance_monet"])  # None of its outputs was seen.
    for seed in range(20, 30):
        memory(maps_of(8, seed, gain=3.0), torch.full((8,), 2))
    assert 0 <= distances_to_works(memory, NAMES)["distance_ink"] < 0.2  # Eight pictures are few.


def test_without_a_collection_there_is_no_column() -> None:
    assert distances_to_works(None, NAMES) == {}
