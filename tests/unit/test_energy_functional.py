"""The pure functions of the energy equal what their docstrings say, case by case."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.energy import (
    cosine_self_similarity,
    project_patches,
    quantile_means,
    random_directions,
    self_similarity_distance_sq,
    sliced_wasserstein_sq,
    unfold_patches,
    wasserstein_sq_1d,
)
from lgt.energy.functional import matched_values, promoted, sorted_values


def test_promotion_keeps_double_and_lifts_half_precision() -> None:
    """At least float32, and never less than what came in: 4 dtypes."""
    expected = {
        torch.float16: torch.float32,
        torch.bfloat16: torch.float32,
        torch.float32: torch.float32,
        torch.float64: torch.float64,
    }
    for given, kept in expected.items():
        assert promoted(torch.zeros(2, dtype=given)).dtype == kept
        x = torch.randn(2, 5).to(given)
        assert wasserstein_sq_1d(x, x).dtype == kept
        assert cosine_self_similarity(x[None]).dtype == kept


def test_unfold_patches_counts_and_orders_like_slices(generator: Generator) -> None:
    """Every patch that fits, channels first, rows of taps then columns."""
    checked = 0
    for height, width, size, dilation in itertools.product((5, 7), (6, 9), (1, 2, 3), (1, 2)):
        x = torch.randn(2, 3, height, width, generator=generator)
        reach = (size - 1) * dilation
        patches = unfold_patches(x, size, dilation)
        assert patches.shape == (2, (height - reach) * (width - reach), 3 * size**2)
        for n, (i, j) in enumerate(itertools.product(range(height - reach), range(width - reach))):
            window = x[..., i : i + reach + 1 : dilation, j : j + reach + 1 : dilation]
            assert torch.equal(patches[:, n], window.flatten(1))
        checked += 1
    print(f"{checked} geometries checked")
    assert checked == 24


def test_documented_patch_space_has_36_dimensions() -> None:
    """Four channels and 3 x 3 taps make 36 dimensions, 900 patches of a 32 x 32 latent."""
    assert unfold_patches(torch.zeros(1, 4, 32, 32), 3).shape == (1, 900, 36)


def test_projected_patches_equal_unfolded_patches_times_directions(generator: Generator) -> None:
    """The convolution is the projection, dilated and not, for 1 to 16 channels."""
    checked = 0
    for channels, size, dilation in itertools.product((1, 4, 16), (1, 2, 3, 5), (1, 2, 3)):
        x = torch.randn(2, channels, 14, 13, generator=generator, dtype=torch.float64)
        theta = random_directions(channels * size**2, 7, generator).double()
        product = (unfold_patches(x, size, dilation) @ theta).transpose(1, 2)
        torch.testing.assert_close(project_patches(x, theta, size, dilation), product)
        checked += 1
    print(f"{checked} geometries checked")
    assert checked == 36


def test_random_directions_are_uniform_unit_columns(generator: Generator) -> None:
    """Unit length, no preferred axis, and drawn from the generator alone."""
    theta = random_directions(6, 20_000, generator)
    torch.testing.assert_close(theta.norm(dim=0), torch.ones(20_000))
    second_moment = theta @ theta.T / theta.shape[1]
    torch.testing.assert_close(second_moment, torch.eye(6) / 6, atol=5e-3, rtol=0)
    assert theta.mean(dim=1).abs().max() < 0.01
    torch.randn(3)  # the global generator plays no part
    again = random_directions(6, 20_000, Generator().manual_seed(0))
    assert torch.equal(theta, again)


def test_sorted_values_sorts_every_dtype_without_gradient(generator: Generator) -> None:
    """NumPy's sort and PyTorch's agree, for contiguous and strided input of 4 dtypes."""
    base = torch.randn(3, 50, 4, generator=generator)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for x in (base.to(dtype), base.to(dtype).transpose(1, 2)):
            x.requires_grad_()
            ordered = sorted_values(x)
            assert not ordered.requires_grad
            assert torch.equal(ordered, x.sort(dim=-1).values.detach())


def test_matched_values_pair_equal_ranks(generator: Generator) -> None:
    """The same squares as sorting both, in place, for 4 dtypes and strided input; no gradient."""
    base = torch.randn(3, 50, 4, generator=generator)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for x in (base.to(dtype), base.to(dtype).transpose(1, 2)):
            x.requires_grad_()
            y = torch.randn(x.shape, generator=generator).to(dtype).sort(dim=-1).values
            matched = matched_values(x, y)
            assert not matched.requires_grad
            assert torch.equal(matched.sort(dim=-1).values, y)
            ordered, order = x.sort(dim=-1)
            if len(set(x[0, 0].tolist())) == x.shape[-1]:  # Without ties the pairs are unique.
                assert torch.equal(matched[0, 0].gather(-1, order[0, 0]), y[0, 0])
            squares = (x - matched).float().square().sum()
            torch.testing.assert_close(squares, (ordered - y).float().square().sum())
            assert torch.equal(matched_values(x, y[:1]), matched_values(x, y[:1].expand_as(x)))


def exact_slices(y_sorted: Tensor, count: int) -> Tensor:
    """Return `count` slices of the quantile function, on a grid that both sizes divide."""
    fine = y_sorted.repeat_interleave(count, dim=-1)
    return fine.unflatten(-1, (count, y_sorted.shape[-1]))


def test_quantile_means_equal_the_integral_of_the_quantile_function(generator: Generator) -> None:
    """Equal, dividing and general sizes, larger and smaller, against an exact fine grid."""
    checked = 0
    for size, count in itertools.product((1, 2, 5, 7, 12, 30), (1, 2, 3, 5, 7, 12, 45)):
        y = torch.randn(3, size, generator=generator, dtype=torch.float64).sort(dim=-1).values
        means = quantile_means(y, count)
        assert means.shape == (3, count)
        torch.testing.assert_close(means, exact_slices(y, count).mean(-1))
        torch.testing.assert_close(means.mean(-1), y.mean(-1))  # no mass is lost
        checked += 1
    print(f"{checked} pairs of sizes checked")
    assert checked == 42


def test_quantile_means_in_float32_at_the_sizes_of_training(generator: Generator) -> None:
    """Rounding in the running sum stays far below the values, also off the divisible sizes."""
    for size, count in ((7200, 1024), (900, 1024), (3600, 900), (4097, 900)):
        y = torch.randn(4, size, generator=generator).sort(dim=-1).values
        exact = quantile_means(y.double(), count)
        assert (quantile_means(y, count) - exact).abs().max() < 1e-3


def test_wasserstein_is_the_best_of_all_couplings(generator: Generator) -> None:
    """Sorting finds the least mean squared difference over all 120 permutations of 5 points."""
    for _ in range(10):
        x, y = torch.randn(2, 5, generator=generator)
        best = min(
            (x - y[list(order)]).square().mean() for order in itertools.permutations(range(5))
        )
        torch.testing.assert_close(wasserstein_sq_1d(x, y), best)


def test_wasserstein_of_unequal_sizes_lacks_only_a_constant(generator: Generator) -> None:
    """Value + variance of y within slices = exact distance; the gradients are the same."""
    checked = 0
    for n, m in itertools.product((3, 4, 8), (2, 5, 8, 12)):
        x = torch.randn(n, generator=generator, dtype=torch.float64, requires_grad=True)
        y = torch.randn(m, generator=generator, dtype=torch.float64)
        value = wasserstein_sq_1d(x, y)
        slices = exact_slices(y.sort().values, n)
        fine_x = x.sort().values.repeat_interleave(m)
        exact = (fine_x - y.sort().values.repeat_interleave(n)).square().mean()
        within = slices.var(dim=-1, unbiased=False).mean()
        torch.testing.assert_close(value + within, exact)
        torch.testing.assert_close(
            *(torch.autograd.grad(each, x, retain_graph=True)[0] for each in (value, exact))
        )
        checked += 1
    print(f"{checked} pairs of sizes checked")
    assert checked == 12


def test_sliced_wasserstein_is_seeded_and_nonnegative(generator: Generator) -> None:
    """One seed gives one value; unequal sizes are welcome; a cloud is near itself."""
    x, y = torch.randn(40, 6, generator=generator), torch.randn(70, 6, generator=generator) + 1
    first = sliced_wasserstein_sq(x, y, generator=Generator().manual_seed(1))
    assert torch.equal(first, sliced_wasserstein_sq(x, y, generator=Generator().manual_seed(1)))
    assert not torch.equal(first, sliced_wasserstein_sq(x, y, generator=Generator().manual_seed(2)))
    assert first > 0.5
    assert sliced_wasserstein_sq(x, x[torch.randperm(40)]) < 1e-10


def test_cosines_of_a_small_case() -> None:
    """Hand-made vectors: parallel 1, opposite -1, orthogonal 0."""
    features = torch.tensor([[[2.0, 0.0], [5.0, 0.0], [-1.0, 0.0], [0.0, 3.0]]])
    expected = torch.tensor([[[1.0, 1, -1, 0], [1, 1, -1, 0], [-1, -1, 1, 0], [0, 0, 0, 1]]])
    torch.testing.assert_close(cosine_self_similarity(features), expected)


def test_self_similarity_distance_of_a_small_case() -> None:
    """Two positions, parallel against orthogonal: 2 of 4 cosines differ by 1."""
    parallel = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    orthogonal = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    opposite = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    assert self_similarity_distance_sq(parallel, orthogonal).item() == pytest.approx(0.5)
    assert self_similarity_distance_sq(parallel, opposite).item() == pytest.approx(2.0)


def test_self_similarity_distance_does_not_grow_with_the_image(generator: Generator) -> None:
    """Repeating every position leaves the mean unchanged; the plain norm would grow 16-fold."""
    x, y = torch.randn(2, 1, 20, 4, generator=generator).unbind()
    once = self_similarity_distance_sq(x, y)
    torch.testing.assert_close(
        self_similarity_distance_sq(x.repeat(1, 4, 1), y.repeat(1, 4, 1)), once
    )
    gram = [F.normalize(z, dim=-1) @ F.normalize(z, dim=-1).transpose(1, 2) for z in (x, y)]
    norm_sq = torch.linalg.matrix_norm(gram[0] - gram[1]).square()
    torch.testing.assert_close(once * 20**2, norm_sq)  # the documented Frobenius norm


def test_a_zero_vector_gives_finite_cosines_and_gradients() -> None:
    """A position without signal must not poison the batch."""
    x = torch.tensor([[[0.0, 0.0], [1.0, 2.0]]], requires_grad=True)
    value = self_similarity_distance_sq(x, torch.ones(1, 2, 2)).sum()
    value.backward()
    assert torch.isfinite(value)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_self_similarity_distance_equals_the_matrices(generator: Generator) -> None:
    """The small products give what the N x N matrices give: more, as many, fewer positions."""
    for size, dim in ((40, 4), (9, 8), (8, 8), (3, 8)):
        x, y = torch.randn(2, 3, size, dim, generator=generator, dtype=torch.float64)
        x.requires_grad_()
        direct = (cosine_self_similarity(x) - cosine_self_similarity(y)).square().mean(dim=(1, 2))
        (wanted,) = torch.autograd.grad(direct.sum(), x)
        value = self_similarity_distance_sq(x, y)
        torch.testing.assert_close(value, direct)
        torch.testing.assert_close(torch.autograd.grad(value.sum(), x)[0], wanted)


def test_self_similarity_distance_keeps_its_digits_near_zero(generator: Generator) -> None:
    """In float32, of pictures that differ by a thousandth: nothing cancels."""
    x = torch.randn(4, 900, 36, generator=generator)
    y = x + 1e-3 * torch.randn(x.shape, generator=generator)
    exact = self_similarity_distance_sq(x.double(), y.double())
    assert exact.max() < 1e-6
    torch.testing.assert_close(self_similarity_distance_sq(x, y).double(), exact, rtol=1e-3, atol=0)
    assert (self_similarity_distance_sq(x, x) == 0).all()
