"""Invariants of the energies, each over 50 random cases (see the profile in conftest.py)."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from toys import free_energy

from lgt.energy import (
    PatchSWD,
    SelfSimilarity,
    StyleBank,
    assign_works,
    channel_mean_removal,
    cosine_self_similarity,
    project_patches,
    quantile_means,
    random_directions,
    self_similarity_distance_sq,
    sliced_wasserstein_sq,
    texture_whitening,
    unfold_patches,
    wasserstein_sq_1d,
)
from lgt.nn import FeatureMaps

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 40)
factors = st.floats(0.01, 100)
shifts = st.floats(-10, 10)


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def doubles(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def swd(x: Tensor, y: Tensor, seed: int = 0) -> Tensor:
    return sliced_wasserstein_sq(x, y, num_projections=16, generator=seeded(seed))


@given(seeds, sizes, st.integers(1, 6))
def test_swd_is_a_symmetric_nonnegative_function_of_sets(seed: int, n: int, dim: int) -> None:
    """Symmetric; order of points is nothing; 0, up to rounding, for a cloud and itself."""
    x, y = doubles(seed, 2, n, dim)
    order = torch.randperm(n, generator=seeded(seed))
    value = swd(x, y)
    assert value >= 0
    torch.testing.assert_close(swd(y, x), value)
    torch.testing.assert_close(swd(x[order], y), value)
    torch.testing.assert_close(swd(x, y[order]), value)
    assert swd(x, x[order]) < 1e-28


@given(seeds, sizes, st.integers(1, 6))
def test_root_swd_obeys_the_triangle_inequality(seed: int, n: int, dim: int) -> None:
    """For one set of directions, W(x, z) <= W(x, y) + W(y, z)."""
    x, y, z = doubles(seed, 3, n, dim)
    assert swd(x, z).sqrt() <= swd(x, y).sqrt() + swd(y, z).sqrt() + 1e-12


@given(seeds, sizes, factors, shifts)
def test_swd_of_shifted_and_scaled_clouds(seed: int, n: int, factor: float, shift: float) -> None:
    """A common shift is free, a common scale squares, a shift alone costs its mean square."""
    x, y = doubles(seed, 2, n, 4)
    move = shift * doubles(seed + 1, 4)
    value = swd(x, y)
    torch.testing.assert_close(swd(x + move, y + move), value, atol=1e-10, rtol=1e-7)
    torch.testing.assert_close(swd(factor * x, factor * y), factor**2 * value)
    theta = random_directions(4, 16, seeded(0)).double()
    mean_square = (move @ theta).square().mean()
    torch.testing.assert_close(swd(x + move, x), mean_square, atol=1e-10, rtol=1e-7)


@given(seeds, sizes, sizes)
def test_swd_of_any_two_sizes_is_bounded_below_by_the_means(seed: int, n: int, m: int) -> None:
    """W^2 >= (difference of means)^2 on every line, equal sizes or not."""
    x, y = doubles(seed, 3, n), doubles(seed + 1, 3, m)
    bound = (x.mean(-1) - y.mean(-1)).square()
    assert (wasserstein_sq_1d(x, y) >= bound - 1e-12).all()


@given(seeds, sizes, sizes, factors, shifts)
def test_quantile_means_are_ordered_averages(
    seed: int, size: int, count: int, factor: float, shift: float
) -> None:
    """Sorted, between least and greatest, of equal mean, and equivariant to a x + b."""
    y = doubles(seed, 2, size).sort(dim=-1).values
    means = quantile_means(y, count)
    assert means.shape == (2, count)
    assert (means.diff(dim=-1) >= -1e-9).all()
    assert means.min() >= y.min() - 1e-9
    assert means.max() <= y.max() + 1e-9
    torch.testing.assert_close(means.mean(-1), y.mean(-1))
    torch.testing.assert_close(
        quantile_means(factor * y + shift, count), factor * means + shift, atol=1e-8, rtol=1e-7
    )


@given(seeds, st.integers(1, 12), st.integers(1, 5))
def test_self_similarity_ignores_positive_scales_and_order(seed: int, n: int, dim: int) -> None:
    """Any length per position is free, a common permutation too; range [0, 4]; symmetric."""
    x, y = doubles(seed, 2, 2, n, dim)
    value = self_similarity_distance_sq(x, y)
    assert (value >= 0).all()
    assert (value <= 4).all()
    scales = 0.01 + 10 * torch.rand(2, n, 1, generator=seeded(seed), dtype=torch.float64)
    torch.testing.assert_close(self_similarity_distance_sq(x * scales, y), value)
    torch.testing.assert_close(self_similarity_distance_sq(y, x), value)
    order = torch.randperm(n, generator=seeded(seed))
    torch.testing.assert_close(self_similarity_distance_sq(x[:, order], y[:, order]), value)
    assert (self_similarity_distance_sq(x, x * scales) < 1e-28).all()
    cosines = cosine_self_similarity(x)
    assert cosines.abs().max() <= 1 + 1e-12
    torch.testing.assert_close(cosines, cosines.transpose(1, 2))


@given(seeds, st.integers(1, 3), st.integers(2, 6))
def test_self_similarity_is_blind_to_orthogonal_maps(seed: int, size: int, channels: int) -> None:
    """Rotations and reflections of the channels are free for every patch size and scale."""
    x, y = doubles(seed, 2, 1, channels, 9, 8)
    rotation, _ = torch.linalg.qr(doubles(seed + 1, channels, channels))
    turned = torch.einsum("dc,bchw->bdhw", rotation, x)
    content = SelfSimilarity(patch_size=size, scales=(1, 2))
    torch.testing.assert_close(content(turned, y), content(x, y))
    assert content(turned, x).max() < 1e-13


geometry = st.tuples(
    st.integers(1, 5),  # channels
    st.integers(1, 4),  # patch size
    st.integers(1, 3),  # dilation
    st.integers(0, 4),  # rows beyond the least
    st.integers(0, 4),  # columns beyond the least
)


@given(seeds, geometry)
def test_projection_is_unfold_times_directions(
    seed: int, geometry: tuple[int, int, int, int, int]
) -> None:
    """The convolution equals the explicit patches, dilated and not, and is linear."""
    channels, size, dilation, rows, columns = geometry
    least = (size - 1) * dilation + 1
    x, y = doubles(seed, 2, 2, channels, least + rows, least + columns)
    theta = random_directions(channels * size**2, 3, seeded(seed)).double()
    lines = project_patches(x, theta, size, dilation)
    explicit = (unfold_patches(x, size, dilation) @ theta).transpose(1, 2)
    torch.testing.assert_close(lines, explicit)
    both = project_patches(x + 2 * y, theta, size, dilation)
    torch.testing.assert_close(both, lines + 2 * project_patches(y, theta, size, dilation))


@given(seeds, st.integers(1, 3), st.integers(1, 4))
def test_patch_swd_sees_works_as_one_cloud(seed: int, outputs: int, works: int) -> None:
    """Order of outputs and works is nothing, and repeating all works changes nothing."""
    x, y = doubles(seed, 1, outputs, 2, 6, 7), doubles(seed + 1, 1, works, 2, 6, 7)
    term = PatchSWD(patch_size=2, num_projections=8, max_samples=10**6)
    value = term(x, y, seeded(seed))
    torch.testing.assert_close(term(x.flip(1), y.flip(1), seeded(seed)), value)
    torch.testing.assert_close(term(x, y.repeat(1, 2, 1, 1, 1), seeded(seed)), value)


@given(seeds, st.integers(1, 4), st.integers(2, 3))
def test_texture_ignores_channel_offsets(seed: int, channels: int, size: int) -> None:
    """Mean removal is a projector; no offset changes the texture distance."""
    remove = channel_mean_removal(channels, size).double()
    torch.testing.assert_close(remove @ remove, remove, atol=1e-6, rtol=0)
    latents = doubles(seed, 3, channels, 7, 8)
    transform = texture_whitening(latents, size, 1)
    term = PatchSWD(patch_size=size, num_projections=8, transform=transform)
    x, works = latents[None, :1], latents[None, 1:]
    offsets = 5 * doubles(seed + 1, 1, 1, channels, 1, 1)
    moved = term(x + offsets, works - offsets, seeded(seed))
    torch.testing.assert_close(moved, term(x, works, seeded(seed)), atol=1e-4, rtol=1e-3)


@given(seeds, st.integers(1, 12), st.integers(1, 12), factors)
def test_assignment_is_a_distribution_and_has_no_units(
    seed: int, sources: int, works: int, factor: float
) -> None:
    """Rows are probabilities; common units cancel; relabelling works relabels the plan."""
    x, y = doubles(seed, sources, 5), doubles(seed + 1, works, 5)
    plan = assign_works(x, y)
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(1), torch.ones(sources))
    torch.testing.assert_close(assign_works(factor * x, factor * y), plan, atol=1e-5, rtol=0)
    order = torch.randperm(works, generator=seeded(seed))
    torch.testing.assert_close(assign_works(x, y[order]), plan[:, order], atol=1e-5, rtol=0)


weights = st.floats(0, 10)
WEIGHTS = (
    *("w_style", "w_content", "w_identity", "vel_reg_weight"),
    *("texture_gain", "color_gain", "feature_gain", "content_gain", "feature_content_gain"),
)
"""Those of collections act on a state (tests/unit/test_energy_collection.py), those of edges on
pictures (tests/unit/test_train_keys.py)."""


@settings(max_examples=25)
@given(seeds, st.tuples(*[weights] * len(WEIGHTS)), st.sampled_from(["split", "raw"]))
def test_total_energy_is_linear_in_its_weights(
    seed: int, values: tuple[float, ...], bands: str
) -> None:
    """total = w_style (g_t texture + g_c colour + g_f features) + w_content content + ...

    25 cases, with the documented share of samples that keep their style.
    """
    latents = torch.randn(6, 2, 6, 6, generator=seeded(seed))
    bank = StyleBank(latents, torch.arange(6) % 2, 2)
    w = SimpleNamespace(**dict(zip(WEIGHTS, values, strict=True)))
    energy = free_energy(
        bank,
        lambda x: FeatureMaps([x, x.square()], [x]),
        **vars(w),
        use_velocity_reg=True,
        style_bands=bands,
        num_projections=4,
    )
    target = torch.randint(2, (4,), generator=seeded(seed))
    source = torch.arange(4) % 2
    terms = energy(
        torch.randn(4, 2, 6, 6, generator=seeded(seed + 1)),
        latents[:4],
        target,
        source,
        torch.arange(4),
        kinetic=torch.tensor(2.0),
        generator=seeded(seed),
    )
    zero = torch.zeros(())
    texture_gain = w.texture_gain if bands == "split" else 1.0

    def value(name: str) -> torch.Tensor:
        return terms.values.get(name, zero)  # A term without weight is left out.

    share = (target == source).float().mean()
    expected = (
        w.w_style
        * (
            texture_gain * value("texture")
            + w.color_gain * value("color")
            + w.feature_gain * value("feature")
        )
        + w.w_content * terms.content
        + w.w_identity * share * value("identity")
        + w.vel_reg_weight * 2
    )
    torch.testing.assert_close(terms.total, expected)
    for number in terms.as_dict().values():
        assert torch.isfinite(number)
        assert number >= 0
