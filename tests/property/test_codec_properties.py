"""Properties of the DCT codec, and of scaling."""

from __future__ import annotations

import pytest
import scipy.fft
import torch
from hypothesis import given
from hypothesis import strategies as st

from lgt.codec import (
    CodecSpec,
    DCTCodec,
    decode_latent,
    encode_image,
    load_codec,
    scale_latents,
    unscale_latents,
)
from lgt.codec.dct import BLOCK, MAX_CHANNELS, coefficient_order, dct_basis, opponent_colors

sides = st.integers(1, 5).map(lambda n: n * BLOCK)
seeds = st.integers(0, 2**31)


def random_images(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@given(seeds, sides, sides)
def test_192_channels_lose_nothing(seed: int, height: int, width: int) -> None:
    images = random_images(seed, height, width)
    codec = DCTCodec(MAX_CHANNELS)
    assert codec.encode(images).shape == (2, 192, height // 8, width // 8)
    torch.testing.assert_close(codec.decode(codec.encode(images)), images, atol=2e-6, rtol=0)


@given(seeds, st.integers(1, MAX_CHANNELS))
def test_energy_is_kept_and_more_channels_never_hurt(seed: int, channels: int) -> None:
    images = random_images(seed, 16, 24) * 0.5 + 0.25
    full = DCTCodec(MAX_CHANNELS).encode(images)
    part = DCTCodec(channels).encode(images)
    torch.testing.assert_close(full.square().sum(), (images * 2 - 1).square().sum())  # Parseval
    torch.testing.assert_close(part, full[:, :channels])  # a prefix of one fixed order


@given(seeds, st.integers(1, 24))
def test_encoding_undoes_decoding(seed: int, channels: int) -> None:
    codec = DCTCodec(channels)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(1, channels, 2, 3, generator=generator) * 0.05  # small: nothing is clipped
    torch.testing.assert_close(codec.encode(codec.decode(raw)), raw, atol=1e-5, rtol=0)


@given(seeds, st.floats(0.1, 20), st.floats(-2, 2))
def test_scaling_is_undone(seed: int, factor: float, shift: float) -> None:
    spec = CodecSpec("a", "a", 4, scaling_factor=factor, shift_factor=shift)
    raw = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(seed))
    back = unscale_latents(scale_latents(raw, spec), spec)
    torch.testing.assert_close(back, raw, atol=1e-5, rtol=1e-5)


@given(seeds, sides, sides)
def test_documented_functions_agree_with_the_codec(seed: int, height: int, width: int) -> None:
    codec = load_codec("dct:6")
    images = random_images(seed, height, width)
    latents = encode_image(codec, images, "cpu")
    torch.testing.assert_close(latents, codec.encode(images) / 8)
    decoded = decode_latent(codec, latents, "cpu")
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    torch.testing.assert_close(decoded, codec.decode(codec.encode(images)), atol=1e-5, rtol=0)


def test_blocks_agree_with_scipy() -> None:
    images = random_images(0, 8, 8)
    colors = torch.einsum("dc,bchw->bdhw", opponent_colors(), images.double() * 2 - 1)
    reference = scipy.fft.dctn(colors.numpy(), axes=(2, 3), norm="ortho")
    ours = DCTCodec(MAX_CHANNELS).encode(images)
    for channel, (c, u, v) in enumerate(coefficient_order()):
        assert ours[0, channel, 0, 0].item() == pytest.approx(reference[0, c, u, v], abs=1e-5)


def test_bases_are_orthonormal() -> None:
    eye = torch.eye(BLOCK, dtype=torch.float64)
    torch.testing.assert_close(dct_basis() @ dct_basis().T, eye)
    torch.testing.assert_close(opponent_colors() @ opponent_colors().T, eye[:3, :3])


def test_order_begins_with_the_means() -> None:
    order = coefficient_order()
    assert order[:4] == [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1)]
    assert len(set(order)) == MAX_CHANNELS


def test_a_flat_image_needs_three_channels() -> None:
    images = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 16, 16)
    codec = DCTCodec(3)
    torch.testing.assert_close(codec.decode(codec.encode(images)), images, atol=1e-6, rtol=0)
