"""Measures against closed forms, and every message."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lgt.energy import edge_difference
from lgt.errors import InputError
from lgt.image.edges import edge_map
from lgt.image.grey import luminance, matched_luminance
from lgt.metrics.bootstrap import bootstrap_weights, interval
from lgt.metrics.controls import blend, random_works
from lgt.metrics.discriminant import LinearDiscriminant
from lgt.metrics.evaluate import mean_factors
from lgt.metrics.frechet import frechet_distance, matrix_root
from lgt.metrics.judge import Factors
from lgt.metrics.kernel import cubic_kernel, kernel_distance
from lgt.metrics.moments import Moments, statistics
from lgt.metrics.patch_swd import patch_swd, random_patches
from lgt.metrics.perceptual import feature_distance
from lgt.metrics.score import f_score, keep_score, reach_score
from lgt.metrics.spread import paired_distance, pairwise_distance

EYE = np.eye(3)


def test_frechet_distance_of_isotropic_gaussians() -> None:
    """|m - m'|^2 + C (s - s')^2 for covariances s^2 I and s'^2 I."""
    distance = frechet_distance(np.array([1.0, 0, 2]), 4 * EYE, np.zeros(3), 9 * EYE)
    assert distance == pytest.approx(5 + 3 * (2 - 3) ** 2)


def test_frechet_distance_of_commuting_gaussians() -> None:
    a, b = np.array([1.0, 4, 9]), np.array([16.0, 25, 0])
    distance = frechet_distance(np.zeros(3), np.diag(a), np.zeros(3), np.diag(b))
    assert distance == pytest.approx(float(((np.sqrt(a) - np.sqrt(b)) ** 2).sum()))
    root = matrix_root(np.diag(b))
    given = frechet_distance(np.zeros(3), np.diag(a), np.zeros(3), np.diag(b), other_root=root)
    assert given == distance


def test_moments_of_a_set_are_those_of_all_positions() -> None:
    layer = torch.randn(5, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    mean, covariance = Moments.of(layer).pooled()
    flat = layer.permute(0, 2, 3, 1).reshape(-1, 4).double().numpy()
    np.testing.assert_allclose(mean, flat.mean(0), atol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(flat.T, bias=True), atol=1e-9)
    np.testing.assert_allclose(Moments.of(layer).deviation, layer.std((2, 3), correction=0), 1e-5)
    assert statistics([Moments.of(layer)] * 2).shape == (5, 16)


def test_weights_are_repetitions() -> None:
    moments = Moments.of(torch.randn(3, 4, 2, 2))
    mean, covariance = moments.pooled(np.array([2.0, 0, 1]))
    again, spread = moments[[0, 0, 2]].pooled()
    np.testing.assert_allclose(mean, again, atol=1e-9)
    np.testing.assert_allclose(covariance, spread, atol=1e-9)
    joined = Moments.stack([moments, moments])
    np.testing.assert_allclose(joined.pooled()[0], moments.pooled()[0])


def test_kernel_distance_of_two_points_each() -> None:
    x, y = np.array([[1.0], [1.0]]), np.array([[0.0], [0.0]])
    assert cubic_kernel(x, x)[0, 1] == 8
    assert kernel_distance(x, y) == pytest.approx(8 + 1 - 2 * 1)
    with pytest.raises(InputError, match="two vectors each, got 1 and 2"):
        kernel_distance(x[:1], y)


def test_kernel_distance_has_no_bias() -> None:
    """Over many draws from one distribution the mean is 0, to three standard errors."""
    rng = np.random.default_rng(0)
    values = [kernel_distance(*rng.normal(size=(2, 12, 3))) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


def test_discriminant_separates_toys_and_knows_equal_priors() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [6, 0], [0, 6]])
    labels = np.repeat([0, 1, 2], [200, 40, 20])
    x = centres[labels] + rng.normal(size=(260, 2))
    fitted = LinearDiscriminant.fit(x, labels, shrinkage=0.01)
    assert (fitted.predict(x) == labels).mean() > 0.98
    scores = fitted.scores(np.array([[3.0, 0]]))[0]
    assert abs(scores[0] - scores[1]) < 0.2 * abs(fitted.scores(centres)[0, :2]).max()


def test_discriminant_does_not_mind_scale() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    x = rng.normal(size=(60, 4)) + labels[:, None]
    stretch = np.array([1e-3, 1, 10, 1e4])
    plain, scaled = LinearDiscriminant.fit(x, labels), LinearDiscriminant.fit(x * stretch, labels)
    np.testing.assert_allclose(plain.scores(x), scaled.scores(x * stretch), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("labels", "shrinkage", "message"),
    [([0, 0], 0.1, "two classes or more"), ([0, 2], 0.1, "two classes"), ([0, 1], 0, "got 0")],
)
def test_discriminant_refuses(labels: list[int], shrinkage: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinearDiscriminant.fit(np.zeros((2, 2)), np.array(labels), shrinkage=shrinkage)


def test_feature_distance_of_orthogonal_and_opposite_vectors() -> None:
    x = torch.tensor([[3.0, 0], [3, 0], [3, 0]])[..., None, None]
    y = torch.tensor([[9.0, 0], [0, 2], [-1, 0]])[..., None, None]
    torch.testing.assert_close(feature_distance([x], [y]), torch.tensor([0.0, 2, 4]))
    torch.testing.assert_close(feature_distance([x, x], [x, y]), torch.tensor([0.0, 1, 2]))
    for pair in (([x], [x, x]), ([], []), ([x], [y[:2]])):
        with pytest.raises(InputError, match="two equal lists of layers"):
            feature_distance(*pair)


def test_luminance_is_grey() -> None:
    grey = torch.full((1, 3, 4, 4), 0.3)
    torch.testing.assert_close(luminance(grey), grey[:, :1])
    torch.testing.assert_close(matched_luminance(grey), torch.full((1, 1, 4, 4), 0.45))


def test_edges_of_equal_opposite_and_unrelated_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 32, 32, generator=generator)
    y = torch.rand(4, 3, 32, 32, generator=generator)
    edges = edge_map(x)
    assert edges.shape == (4, 1, 32, 32)
    assert float(edge_difference(edges, edges).abs().max()) < 1e-4
    assert float(edge_difference(edges, edge_map(1 - x)).abs().max()) < 1e-2
    assert float(edge_difference(edges, edge_map(y)).sub(1).abs().max()) < 0.3
    assert float(edge_map(torch.full((1, 3, 16, 16), 0.5)).max()) < 0.01


@pytest.mark.parametrize(
    ("keep", "reach", "expected"),
    [(0, 1, 0), (1, 0, 0), (0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (0.25, 1, 0.5), (1, 0.25, 1 / 3)],
)
def test_f_counts_reach_twice(keep: float, reach: float, expected: float) -> None:
    assert f_score(keep, reach) == pytest.approx(expected)


def test_keep_and_reach() -> None:
    assert keep_score(0, 0) == 1
    assert keep_score(0.5, 0.3) == pytest.approx(0.25)
    assert keep_score(0.1, 0.6) == keep_score(1.2, 0) == keep_score(1.2, 0.9) == 0
    assert reach_score(0, 0, 1) == 1
    assert reach_score(0.5, 0.5, 0.5) == pytest.approx(0.5)
    assert reach_score(1, 0, 1) == reach_score(0, 1.3, 1) == reach_score(0, 0, 0) == 0
    assert reach_score(1.5, 1.5, 1) == 0, "two factors below zero do not make a good one"


def test_patch_swd_of_a_shift() -> None:
    """A constant shift by s moves every patch by s: the root mean square is s."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.1
    assert patch_swd(x, x) < 0.01
    shifted = patch_swd(x, x + 0.5, num_projections=500, scales=1)
    assert shifted == pytest.approx(0.5, rel=0.1)


def test_random_patches_are_cut_from_the_pictures() -> None:
    images = torch.arange(2 * 3 * 5 * 5, dtype=torch.float32).reshape(2, 3, 5, 5)
    patches = random_patches(images, 5, 4, torch.Generator())
    torch.testing.assert_close(patches, images[[0, 1, 0, 1]].flatten(1))


def test_pairwise_distance_equals_the_mean_over_pairs() -> None:
    patches = np.random.default_rng(0).normal(size=(5, 4, 6))
    pairs = [
        paired_distance(patches[[i]], patches[[j]]) for i in range(5) for j in range(5) if i != j
    ]
    assert pairwise_distance(patches) == pytest.approx(np.mean(pairs))
    assert pairwise_distance(patches[[0, 0, 0]]) == pytest.approx(0, abs=1e-9)


def test_random_works_are_used_alike() -> None:
    works = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    drawn = random_works(works, 7, "a")
    counts = torch.bincount(drawn[:, 0, 0, 0].long())
    assert sorted(counts.tolist()) == [2, 2, 3]
    assert torch.equal(drawn, random_works(works, 7, "a"))
    assert blend(works[:1], works[2:]).unique().tolist() == [1]


def test_bootstrap() -> None:
    weights = bootstrap_weights(10, 200)
    assert weights.shape == (200, 10)
    assert (weights.sum(1) == 10).all()
    assert (bootstrap_weights(10, 200) == weights).all()
    assert interval(np.arange(101), 60) == pytest.approx((12.5, 107.5))


def test_mean_factors_average_every_number() -> None:
    one = Factors(*[0.0] * 9)
    two = replace(one, f=1.0, style=0.5)
    assert mean_factors({"a": one, "b": two}) == replace(one, f=0.5, style=0.25)
