"""The terms bind the pure functions and nothing else: module == documented pipeline."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.energy import (
    PatchSWD,
    SelfSimilarity,
    functional,
    random_directions,
    self_similarity_distance_sq,
    terms,
    texture_whitening,
    unfold_patches,
    wasserstein_sq_1d,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pooled_lines(images: Tensor, theta: Tensor, size: int, dilation: int) -> Tensor:
    """Project all patches of some images, pooled, by the documented route: `[P, N]`."""
    return (unfold_patches(images, size, dilation).flatten(0, 1) @ theta).T


@pytest.mark.parametrize("size,dilation", [(1, 1), (3, 1), (3, 2), (2, 3), (5, 1)])
@pytest.mark.parametrize("outputs,works", [(1, 1), (1, 3), (3, 1), (2, 3)])
def test_patch_swd_equals_unfold_project_sort(
    size: int, dilation: int, outputs: int, works: int, generator: Generator
) -> None:
    """20 geometries: pooled inside a group, apart across groups, each against its own works."""
    x = torch.randn(2, outputs, 4, 12, 11, generator=generator)
    y = torch.randn(2, works, 4, 12, 11, generator=generator) * 2
    term = PatchSWD(patch_size=size, dilation=dilation, num_projections=9, max_samples=10**6)
    values = term(x, y, seeded(5))
    theta = random_directions(4 * size**2, 9, seeded(5))
    for group in range(2):
        lines = [pooled_lines(images, theta, size, dilation) for images in (x[group], y[group])]
        torch.testing.assert_close(values[group], wasserstein_sq_1d(*lines).mean())


def test_groups_do_not_see_each_other(generator: Generator) -> None:
    """Changing the works or the outputs of group 1 leaves group 0 as it was."""
    x, y = torch.randn(2, 2, 1, 4, 8, 8, generator=generator).unbind()
    term = PatchSWD(patch_size=3)
    before = term(x, y, seeded())
    x[1], y[1] = x[1] * 3, y[1] + 7
    after = term(x, y, seeded())
    assert torch.equal(before[0], after[0])
    assert not torch.isclose(before[1], after[1])


def test_sampling_keeps_the_budget_in_whole_multiples(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`max_samples` bounds outputs and works; each quantile slice is then a plain mean."""
    seen = []
    inner = functional.quantile_means

    def recorded(y_sorted: Tensor, count: int) -> Tensor:
        seen.append((y_sorted.shape[-1], count))
        return inner(y_sorted, count)

    monkeypatch.setattr(functional, "quantile_means", recorded)
    x = torch.randn(1, 1, 4, 32, 32, generator=generator)
    works = torch.randn(1, 8, 4, 32, 32, generator=generator)
    for limit in (100, 1000, 4096, 10**6):
        PatchSWD(patch_size=3, max_samples=limit, num_projections=2)(x, works, generator)
    assert seen == [(100, 100), (900, 900), (3600, 900), (7200, 900)]
    for size, count in seen:
        assert size % count == 0
    print(f"{len(seen)} budgets checked")


def test_clouds_sorted_together_are_those_sorted_alone(generator: Generator) -> None:
    """Of several sizes, some works serving all outputs; by PyTorch's own sort, with gradients."""
    sizes = ((2, 30, 30), (3, 30, 60), (1, 20, 50), (2, 30, 60))
    pairs = []
    for groups, count, works in sizes:
        x = torch.randn(groups, 4, count, generator=generator).requires_grad_()
        shared = 1 if works == 60 else groups
        pairs.append((x, torch.randn(shared, 4, works, generator=generator)))
    found = functional.line_distances(pairs)
    for (x, y), distances in zip(pairs, found, strict=True):
        wanted = functional.wasserstein_sq_1d(x, y.expand(len(x), -1, -1)).mean(1)
        torch.testing.assert_close(distances, wanted)
        slopes = (
            torch.autograd.grad(d.sum(), x, retain_graph=True)[0] for d in (distances, wanted)
        )
        torch.testing.assert_close(*slopes)


def test_sampling_is_without_replacement_and_seeded(generator: Generator) -> None:
    """Columns are kept whole, each at most once; too few are kept all, in order."""
    cloud = torch.arange(50.0).expand(3, 50)
    kept = terms.draw_columns(cloud, 20, generator)
    assert kept.shape == (3, 20)
    assert len(set(kept[0].tolist())) == 20
    assert torch.equal(kept[0], kept[2])
    assert terms.draw_columns(cloud, 50, generator) is cloud
    x, y = torch.randn(2, 1, 1, 4, 16, 16, generator=generator).unbind()
    term = PatchSWD(patch_size=3, max_samples=64)
    assert torch.equal(term(x, y, seeded(1)), term(x, y, seeded(1)))
    assert not torch.equal(term(x, y, seeded(1)), term(x, y, seeded(2)))


def test_gradient_reaches_outputs_only(generator: Generator) -> None:
    """Works are data; outputs of every group get a finite gradient that is not zero."""
    x = torch.randn(2, 2, 4, 9, 9, generator=generator, requires_grad=True)
    works = torch.randn(2, 3, 4, 9, 9, generator=generator, requires_grad=True)
    PatchSWD(patch_size=3)(x, works, generator).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad.flatten(2).norm(dim=2) > 0).all()
    assert works.grad is None


def test_the_transform_acts_on_patches_before_projection(generator: Generator) -> None:
    """`transform` folded into the directions equals transformed patches."""
    x, y = torch.randn(2, 1, 1, 4, 10, 10, generator=generator).unbind()
    transform = torch.randn(36, 36, generator=generator)
    term = PatchSWD(patch_size=3, num_projections=5, transform=transform)
    theta = random_directions(36, 5, seeded(3))
    lines = [(unfold_patches(z[0], 3)[0] @ transform @ theta).T for z in (x, y)]
    torch.testing.assert_close(term(x, y, seeded(3))[0], wasserstein_sq_1d(*lines).mean())


def test_regression_texture_ignores_a_tint_that_raw_patches_see(generator: Generator) -> None:
    """A global tint must not pay for texture: whitened texture is blind to it, raw is not."""
    x = torch.randn(1, 1, 4, 16, 16, generator=generator)
    tint = torch.tensor([1.0, -0.5, 0.3, 0.8]).reshape(1, 1, 4, 1, 1)
    transform = texture_whitening(x[0], 3, 1)
    texture = PatchSWD(patch_size=3, transform=transform)
    assert texture(x + tint, x, generator).item() < 1e-8
    assert PatchSWD(patch_size=3)(x + tint, x, generator).item() > 0.1
    assert PatchSWD(patch_size=1)(x + tint, x, generator).item() > 0.1  # the colour band


def test_regression_raw_gradients_are_low_frequency_whitened_ones_are_not() -> None:
    """On images of mostly coarse structure, the whitened term spends its gradient on detail."""

    def latents(count: int, seed: int) -> Tensor:
        coarse = torch.randn(count, 4, 4, 4, generator=seeded(seed))
        detail = torch.randn(count, 4, 32, 32, generator=seeded(seed + 1))
        return F.interpolate(coarse, size=(32, 32), mode="bicubic") + 0.15 * detail

    def low_frequency_share(transform: Tensor | None) -> float:
        x = latents(2, 1).requires_grad_()
        PatchSWD(patch_size=3, transform=transform)(x[None], works[None], seeded()).sum().backward()
        assert x.grad is not None
        low = F.interpolate(F.avg_pool2d(x.grad, 4), scale_factor=4.0)
        return float(low.square().sum() / x.grad.square().sum())

    works = 1.3 * latents(8, 10)
    assert low_frequency_share(None) > 0.6
    assert low_frequency_share(texture_whitening(works, 3, 1)) < 0.1


def test_self_similarity_averages_its_scales(generator: Generator) -> None:
    """Module == functional on pooled, unfolded images; scales that do not fit are left out."""
    x, y = torch.randn(2, 3, 4, 12, 10, generator=generator).unbind()
    single = []
    for scale in (1, 2, 3):
        pooled = [unfold_patches(F.avg_pool2d(z, scale), 3) for z in (x, y)]
        single.append(self_similarity_distance_sq(*pooled))
        one = SelfSimilarity(patch_size=3, scales=(scale,))(x, y)
        torch.testing.assert_close(one, single[-1])
    together = SelfSimilarity(patch_size=3, scales=(1, 2, 3, 4))(x, y)  # 4: only 3 x 2
    torch.testing.assert_close(together, torch.stack(single).mean(0))
    assert torch.equal(SelfSimilarity(patch_size=3, scales=(8,))(x, y), torch.zeros(3))


def test_documented_content_form_is_the_default(generator: Generator) -> None:
    """Single positions, one scale: normalise, Gram matrix, mean squared difference."""
    x, y = torch.randn(2, 2, 4, 6, 7, generator=generator).unbind()
    z, z_src = (F.normalize(image.flatten(2), dim=1) for image in (x, y))
    gram = z.transpose(1, 2) @ z - z_src.transpose(1, 2) @ z_src
    torch.testing.assert_close(SelfSimilarity()(x, y), gram.square().mean(dim=(1, 2)))


def test_sampled_positions_are_the_same_in_both_images(generator: Generator) -> None:
    """With fewer positions an image still has distance 0 to itself, and the mean is unbiased."""
    x, y = torch.randn(2, 1, 4, 16, 16, generator=generator).unbind()
    sampled = SelfSimilarity(max_positions=64)
    assert sampled(x, x, generator).item() == 0
    whole = SelfSimilarity()(x, y).item()
    mean = torch.stack([sampled(x, y, generator) for _ in range(60)]).mean().item()
    # The diagonal, which is 0 in both, is a larger share of a smaller matrix.
    assert mean * 64 / 63 == pytest.approx(whole * 256 / 255, rel=0.02)


@pytest.mark.parametrize("patch_size", [1, 3])
def test_regression_self_similarity_is_blind_to_channel_rotations(
    patch_size: int, generator: Generator
) -> None:
    """What is true of inversion and rotation of the channels: free at *every* patch size.

    An orthogonal map of the channels turns every patch vector by one orthogonal matrix, so cosines
    stay. Unfolding is no guard; the colour band is.
    """
    palette_means = torch.tensor([1.0, -0.5, 2.0, 0.5]).reshape(4, 1, 1)
    x = (torch.randn(2, 4, 16, 16, generator=generator) + palette_means).double()
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator).double())
    content = SelfSimilarity(patch_size=patch_size, scales=(1, 2))
    changed = {"inverted": -x, "rotated": torch.einsum("dc,bchw->bdhw", rotation, x)}
    for image in changed.values():
        assert content(image, x).abs().max() < 1e-12  # rounding; unrelated: about 0.1
        assert PatchSWD(patch_size=1)(image[:, None], x[:, None], generator).min() > 0.1


def test_patches_see_local_gain_that_single_positions_do_not(generator: Generator) -> None:
    """What unfolding does add: a gain that differs from pixel to pixel is no longer free."""
    x = torch.randn(2, 4, 16, 16, generator=generator)
    gain = 0.5 + torch.rand(2, 1, 16, 16, generator=generator)
    assert SelfSimilarity(patch_size=1)(x * gain, x).max() < 1e-10
    assert SelfSimilarity(patch_size=3)(x * gain, x).min() > 1e-3
    assert SelfSimilarity(patch_size=3)(x * 7, x).max() < 1e-10  # one gain for all: still free
