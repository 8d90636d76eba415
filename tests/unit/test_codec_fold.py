"""Layers in one give what they give one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.nn import functional as F

from lgt.codec import DiffusersTinyCodec, load_codec
from lgt.codec.fold import (
    DoublingChain,
    HalvingChain,
    folded_decoder,
    merged_decoder,
    merged_encoder,
)
from lgt.codec.kernels import doubled


def kinds(half: Any) -> list[str]:
    return [type(layer).__name__ for layer in half.layers]


def tiny(**changes: Any) -> Any:
    """Return an autoencoder of diffusers whose outermost convolutions have nothing between."""
    torch.manual_seed(0)
    config = {
        "encoder_block_out_channels": (6, 6, 6),
        "decoder_block_out_channels": (6, 6, 6),
        "num_encoder_blocks": (0, 1, 1),
        "num_decoder_blocks": (1, 0, 0),
    }
    return AutoencoderTiny(**{**config, **changes}).eval()


def test_a_folded_kernel_equals_enlarging_first() -> None:
    kernel = torch.randn(5, 4, 3, 3, dtype=torch.float64)
    x = torch.randn(2, 4, 3, 6, dtype=torch.float64)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), kernel, padding=1)
    folded = torch.from_numpy(doubled(kernel.numpy())).transpose(0, 1)
    torch.testing.assert_close(F.conv_transpose2d(x, folded, stride=2, padding=1), plain)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (4, 16), (12, 8)])
@pytest.mark.parametrize("count", [2, 3])
def test_chains_equal_their_layers_up_to_the_border(
    size: tuple[int, int], has_bias: bool, count: int
) -> None:
    torch.manual_seed(0)

    def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=has_bias).double()

    widths = [3, 5, 4, 6][: count + 1]
    pairs = list(zip(widths, widths[1:], strict=False))
    halving = [conv(*pair, stride=2 if index else 1) for index, pair in enumerate(pairs)]
    doubling = [conv(*pair) for pair in pairs]
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    halved, doubled_ = x, x
    for layer in halving:
        halved = layer(halved)
    for layer in doubling[:-1]:
        doubled_ = layer(F.interpolate(doubled_, scale_factor=2))
    for chain, expected in (
        (HalvingChain(halving), halved),
        (DoublingChain(doubling), doubling[-1](doubled_)),
    ):
        got = chain(x)
        torch.testing.assert_close(got, expected)
        weight = torch.randn_like(expected)
        (gradient,), (wanted,) = (
            torch.autograd.grad((values * weight).sum(), x) for values in (got, expected)
        )
        torch.testing.assert_close(gradient, wanted)


def test_the_embedded_codec_is_merged_and_gives_the_same() -> None:
    codec: Any = load_codec("embedded")
    assert kinds(codec._encoder)[0] == "HalvingChain"
    assert kinds(codec._decoder)[-1] == "DoublingChain"
    assert kinds(codec.model.encoder)[:2] == ["Conv2d", "Conv2d"]
    assert codec.decoder is codec._decoder, "gradients go the same way"
    for size in ((8, 8), (40, 72)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            latents = codec.model.encoder(images * 2 - 1)
            decoded = codec.model.decoder(latents)
        torch.testing.assert_close(codec.encode(images), latents, atol=1e-4, rtol=0)
        expected = decoded.add(1).div(2).clamp(0, 1)
        torch.testing.assert_close(codec.decode(latents), expected, atol=1e-4, rtol=0)


def test_a_merged_codec_computes_in_bfloat16() -> None:
    codec: Any = load_codec("embedded")
    images = torch.rand(1, 3, 64, 64)
    exact = codec.decode(codec.encode(images))
    codec.to("cpu", torch.bfloat16)
    rough = codec.decode(codec.encode(images))
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).abs().mean()) < 0.01


def test_only_what_saves_products_is_merged() -> None:
    model = tiny()
    assert kinds(merged_encoder(model.encoder))[0] == "HalvingChain"
    assert kinds(merged_decoder(model.decoder))[-1] == "DoublingChain"
    blocks = tiny(num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1))
    assert "HalvingChain" not in kinds(merged_encoder(blocks.encoder))
    assert "DoublingChain" not in kinds(merged_decoder(blocks.decoder))
    wide = nn.Conv2d(64, 8, 3, padding=1), nn.Conv2d(8, 64, 3, stride=2, padding=1)
    assert not HalvingChain.saves(wide)
    assert not DoublingChain.saves(wide)


@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
def test_a_folded_decoder_gives_the_same(upsample: str) -> None:
    model = tiny(num_decoder_blocks=(1, 0, 1), upsample_fn=upsample)
    layers = kinds(folded_decoder(model.decoder))
    assert layers.count("ConvTranspose2d") == (2 if upsample == "nearest" else 0)
    latents = torch.randn(1, 4, 5, 3)
    with torch.no_grad():
        expected = (model.decode(latents).sample + 1) / 2
    codec = DiffusersTinyCodec(model, name="tiny", source="tiny")
    torch.testing.assert_close(codec.decode(latents), expected.clamp(0, 1), atol=1e-5, rtol=0)
    assert kinds(model.decoder).count("Upsample") == 2
