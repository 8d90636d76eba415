"""Whitening gives texture patches unit covariance and no channel means."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.energy import channel_mean_removal, texture_whitening, unfold_patches


def correlated(count: int, generator: Generator, channels: int = 4) -> Tensor:
    """Return latents with a steep spectrum and dependent channels."""
    mix = torch.randn(channels, channels, generator=generator)
    noise = torch.randn(count, channels, 16, 16, generator=generator)
    smooth = F.avg_pool2d(F.pad(noise, (2, 2, 2, 2), mode="circular"), 5, stride=1)
    return torch.einsum("dc,bchw->bdhw", mix, smooth + 0.1 * noise)


def covariance_eigenvalues(patches: Tensor) -> Tensor:
    return torch.linalg.eigvalsh((patches.T @ patches / len(patches)).double())


@pytest.mark.parametrize("channels,size", [(1, 2), (4, 3), (3, 5)])
def test_mean_removal_is_the_projector_on_texture(
    channels: int, size: int, generator: Generator
) -> None:
    """Symmetric, idempotent, rank D - C; it subtracts each channel's own mean: 3 shapes."""
    remove = channel_mean_removal(channels, size)
    torch.testing.assert_close(remove, remove.T)
    torch.testing.assert_close(remove @ remove, remove)
    assert torch.linalg.matrix_rank(remove) == channels * (size**2 - 1)
    patch = torch.randn(1, channels, size, size, generator=generator)
    expected = (patch - patch.mean(dim=(2, 3), keepdim=True)).flatten(1)
    torch.testing.assert_close(patch.flatten(1) @ remove, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("size,dilation", [(3, 1), (3, 2), (2, 4)])
def test_whitened_texture_has_unit_covariance(
    size: int, dilation: int, generator: Generator
) -> None:
    """With a negligible floor: C eigenvalues 0 (the means), all others 1; 3 geometries."""
    latents = correlated(40, generator)
    transform = texture_whitening(latents, size, dilation, floor=1e-7)
    eigenvalues = covariance_eigenvalues(
        unfold_patches(latents, size, dilation).flatten(0, 1) @ transform
    )
    torch.testing.assert_close(eigenvalues[:4], torch.zeros(4).double(), atol=1e-3, rtol=0)
    ones = torch.ones(len(eigenvalues) - 4).double()
    torch.testing.assert_close(eigenvalues[4:], ones, atol=2e-2, rtol=0)


def test_the_floor_damps_weak_directions_as_documented(generator: Generator) -> None:
    """Each eigenvalue v becomes v / (v + floor * mean v); none exceeds 1."""
    latents = correlated(30, generator)
    remove = channel_mean_removal(4, 3)
    patches = unfold_patches(latents, 3).flatten(0, 1)
    before = covariance_eigenvalues(patches @ remove)
    after = covariance_eigenvalues(patches @ texture_whitening(latents, 3, 1, floor=0.03))
    expected = before / (before + 0.03 * before.mean())
    torch.testing.assert_close(after, expected.sort().values, atol=1e-3, rtol=0)
    assert after.max() < 1


def test_channel_offsets_have_no_effect(generator: Generator) -> None:
    """Adding a constant to a channel changes no whitened patch."""
    latents = correlated(8, generator)
    transform = texture_whitening(latents, 3, 1)
    offsets = torch.tensor([3.0, -2.0, 0.5, 1.0]).reshape(1, 4, 1, 1)
    patches, shifted = (unfold_patches(z, 3) @ transform for z in (latents, latents + offsets))
    torch.testing.assert_close(patches, shifted, atol=1e-3, rtol=0)


def test_flat_latents_do_not_blow_up() -> None:
    """No texture at all: the transform and what it makes of a flat patch stay finite."""
    flat = torch.full((3, 4, 8, 8), 2.0)
    transform = texture_whitening(flat, 3, 1)
    assert torch.isfinite(transform).all()
    assert (unfold_patches(flat, 3) @ transform).abs().max() < 10
