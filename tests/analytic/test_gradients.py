"""Gradients are right: closed forms through the solvers, float64 gradcheck of the energies."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor
from torch.autograd import gradcheck

from lgt.dynamics import constant, decaying_guidance, guided, heun_step, integrate
from lgt.energy import (
    PatchSWD,
    SelfSimilarity,
    project_patches,
    random_directions,
    self_similarity_distance_sq,
    sliced_wasserstein_sq,
    texture_whitening,
    wasserstein_sq_1d,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("num_steps", [1, 4, 16])
def test_gradient_through_euler(num_steps: int) -> None:
    """x_1 = x_0 (1 - a h)^n: derivatives to x_0 and to a, for 3 step counts."""
    x = doubles(2, 3).requires_grad_()
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    integrate(lambda x, _: -rate * x, x, num_steps=num_steps).sum().backward()
    factor = 1 - 0.8 / num_steps
    assert x.grad is not None
    assert rate.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, factor**num_steps))
    expected = -x.detach().sum() * factor ** (num_steps - 1)
    torch.testing.assert_close(rate.grad, expected)


@pytest.mark.parametrize("num_steps", [1, 4, 16])
def test_gradient_through_heun(num_steps: int) -> None:
    """x_1 = x_0 g^n with g = 1 - a h + (a h)^2 / 2: derivatives to x_0 and to a."""
    x = doubles(2, 3).requires_grad_()
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    integrate(lambda x, _: -rate * x, x, num_steps=num_steps, step=heun_step).sum().backward()
    h = 1 / num_steps
    growth, slope = 1 - 0.8 * h + (0.8 * h) ** 2 / 2, -h + 0.8 * h * h
    assert x.grad is not None
    assert rate.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, growth**num_steps))
    expected = x.detach().sum() * num_steps * growth ** (num_steps - 1) * slope
    torch.testing.assert_close(rate.grad, expected)


def test_gradcheck_of_a_noisy_guided_path() -> None:
    """A nonlinear guided field with noise and start times of its own for each sample."""
    start = torch.tensor([0.0, 0.25, 0.5])

    def path(x: Tensor, weight: Tensor) -> Tensor:
        def field(x: Tensor, t: Tensor) -> Tensor:
            return torch.tanh(x @ weight) + t[:, None]

        return integrate(
            guided(field, decaying_guidance(2.0)),
            x,
            num_steps=4,
            start=start,
            step=heun_step,
            diffusion=constant(0.3),
            generator=seeded(1),
        )

    inputs = (doubles(3, 2).requires_grad_(), doubles(2, 2, seed=1).requires_grad_())
    assert gradcheck(path, inputs)


@pytest.mark.parametrize("n,m", [(6, 6), (6, 12), (6, 7), (7, 3)])
def test_gradcheck_of_wasserstein(n: int, m: int) -> None:
    """Equal, dividing and general sizes, batched; in both arguments where y is not detached."""
    inputs = (doubles(2, n).requires_grad_(), doubles(2, m, seed=1).requires_grad_())
    assert gradcheck(wasserstein_sq_1d, inputs)


def test_gradcheck_of_sliced_wasserstein() -> None:
    """Projection included, with directions fixed by the seed."""

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return sliced_wasserstein_sq(x, y, num_projections=5, generator=seeded(2))

    inputs = (doubles(5, 3).requires_grad_(), doubles(8, 3, seed=1).requires_grad_())
    assert gradcheck(distance, inputs)


def test_gradcheck_of_self_similarity() -> None:
    """The functional and its module with patches, two scales and sampled positions."""
    inputs = (doubles(2, 5, 3).requires_grad_(), doubles(2, 5, 3, seed=1).requires_grad_())
    assert gradcheck(self_similarity_distance_sq, inputs)
    content = SelfSimilarity(patch_size=2, scales=(1, 2), max_positions=6)
    images = (doubles(2, 2, 4, 5).requires_grad_(), doubles(2, 2, 4, 5, seed=1).requires_grad_())
    assert gradcheck(lambda x, y: content(x, y, seeded(3)), images)


@pytest.mark.parametrize("size,dilation", [(1, 1), (2, 1), (2, 2)])
def test_gradcheck_of_the_projected_patch_path(size: int, dilation: int) -> None:
    """Convolution, sort and distance, dilated and not: what the style energy differentiates."""
    theta = random_directions(2 * size**2, 3, seeded(1)).double()
    reference = doubles(2, 3, 9, seed=2)

    def path(x: Tensor) -> Tensor:
        return wasserstein_sq_1d(project_patches(x, theta, size, dilation), reference)

    assert gradcheck(path, doubles(2, 2, 4, 4).requires_grad_())


@pytest.mark.parametrize("works,max_samples", [(1, 100), (3, 100), (3, 5)])
def test_gradcheck_of_patch_swd(works: int, max_samples: int) -> None:
    """The module in float64, whitened, pooled and sampled."""
    reference = doubles(2, works, 2, 4, 5, seed=1)
    transform = texture_whitening(reference.flatten(0, 1), 2, 1)
    term = PatchSWD(patch_size=2, num_projections=3, max_samples=max_samples, transform=transform)
    x = doubles(2, 2, 2, 4, 5).requires_grad_()
    assert gradcheck(lambda x: term(x, reference, seeded(4)), x)
