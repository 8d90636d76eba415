"""Properties of the measures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lgt.energy import edge_difference
from lgt.image.edges import edge_map
from lgt.image.grey import matched_luminance
from lgt.metrics.frechet import frechet_distance
from lgt.metrics.kernel import kernel_distance
from lgt.metrics.perceptual import feature_distance
from lgt.metrics.score import f_score, keep_score, reach_score

seeds = st.integers(0, 2**31)
units = st.floats(0, 1)


def gaussian(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    root = rng.normal(size=(size, size))
    return rng.normal(size=size), root @ root.T


@given(seeds, st.integers(1, 6))
def test_frechet_distance_is_symmetric_and_zero_on_itself(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = gaussian(rng, size), gaussian(rng, size)
    there, back = frechet_distance(*a, *b), frechet_distance(*b, *a)
    assert there == pytest.approx(back, rel=1e-6, abs=1e-6)
    assert there >= 0
    assert frechet_distance(*a, *a) < 1e-4 * (1 + np.trace(a[1]))


@given(seeds, st.floats(-3, 3))
def test_frechet_distance_of_a_shift_is_its_square(seed: int, shift: float) -> None:
    mean, covariance = gaussian(np.random.default_rng(seed), 4)
    distance = frechet_distance(mean, covariance, mean + shift, covariance)
    assert distance == pytest.approx(4 * shift**2, rel=1e-6, abs=1e-4)


@given(seeds)
def test_kernel_distance_is_symmetric_and_ignores_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x))
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(rng.permutation(x), y))


@given(seeds)
def test_kernel_distance_of_a_set_to_itself_is_not_positive(seed: int) -> None:
    """Of one set with itself: minus what the estimate corrects for."""
    x = np.random.default_rng(seed).normal(size=(6, 3))
    assert kernel_distance(x, x) <= 1e-9


@given(seeds, st.floats(0.01, 100))
def test_feature_distance_ignores_the_length_of_vectors(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 2, 5, 4, 4, generator=generator)
    plain, scaled = feature_distance([x], [y]), feature_distance([x * scale], [y])
    torch.testing.assert_close(plain, scaled, rtol=1e-4, atol=1e-4)
    assert bool(((plain >= 0) & (plain <= 4.0001)).all())


@given(seeds, st.floats(0.3, 1), st.floats(0, 0.3))
def test_brightness_and_contrast_cost_nothing(seed: int, gain: float, offset: float) -> None:
    x = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(seed))
    changed = x * gain + offset
    difference = matched_luminance(x) - matched_luminance(changed)
    assert float(difference.abs().max()) < 0.25
    assert float(edge_difference(edge_map(x), edge_map(changed)).max()) < 1e-3


@given(units, units)
def test_f_lies_between_its_parts(keep: float, reach: float) -> None:
    score = f_score(keep, reach)
    assert min(keep, reach) - 1e-9 <= score <= max(keep, reach) + 1e-9 or score == 0


@given(st.lists(st.floats(0, 2), min_size=5, max_size=5), st.floats(0, 1))
def test_worse_is_never_better(values: list[float], step: float) -> None:
    content, edges, style, grey, accuracy = values
    assert keep_score(content + step, edges) <= keep_score(content, edges)
    assert keep_score(content, edges + step) <= keep_score(content, edges)
    assert reach_score(style + step, grey, accuracy) <= reach_score(style, grey, accuracy)
    assert 0 <= reach_score(style, grey, accuracy) <= 1
    assert 0 <= keep_score(content, edges) <= 1
