"""Embeddings, StyleDynamicConv and blocks do what their docstrings say."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.nn import (
    NULL_STYLE,
    AdaGNBlock,
    EncoderBlock,
    StyleBlock,
    StyleDynamicConv,
    StyleEmbedding,
    TimeEmbedding,
)
from lgt.nn.blocks import group_norm
from lgt.nn.style_conv import pad_edge


def features_before_perceptron(embedding: TimeEmbedding, t: Tensor) -> Tensor:
    """Return the sinusoids that the perceptron is given."""
    seen: list[Tensor] = []
    handle = embedding.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    embedding(t)
    handle.remove()
    return seen[0]


def test_time_features_are_sinusoids_of_a_thousand_t() -> None:
    """sin and cos of 1000 t f with f from 1 down to nearly 1e-4, geometrically."""
    t = torch.tensor([0.0, 0.001, 0.123, 0.3456, 0.777, 1.0])
    features = features_before_perceptron(TimeEmbedding(16), t)
    frequencies = torch.tensor([1e4 ** (-i / 8) for i in range(8)])
    angles = 1000 * t[:, None] * frequencies
    expected = torch.cat([angles.sin(), angles.cos()], dim=1)
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=0)


def test_regression_time_scaling_gives_features_that_vary() -> None:
    """Over [0, 1] most features swing; without the factor 1000 hardly any would."""
    t = torch.linspace(0, 1, 2001)
    embedding = TimeEmbedding(64)
    scaled = features_before_perceptron(embedding, t).std(dim=0)
    bare = features_before_perceptron(embedding, t / 1000).std(dim=0)
    assert (scaled > 0.1).float().mean() > 0.7
    assert (bare > 0.1).float().mean() < 0.3


def test_regression_neighbouring_solver_times_are_told_apart() -> None:
    """All 210 pairs of the grid of 20 steps differ in several features, none by aliasing."""
    features = features_before_perceptron(TimeEmbedding(64), torch.arange(21) / 20)
    distances = torch.cdist(features, features) + 10 * torch.eye(21)
    assert distances.min() > 1.0


def test_edges_are_repeated_in_the_precision_of_the_input() -> None:
    """Autocast changes neither type nor values of padding, and so no memory is spent on it."""
    x = torch.randn(2, 3, 4, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        padded = pad_edge(x, 1)
    assert padded.dtype == torch.bfloat16
    assert torch.equal(padded, F.pad(x.float(), (1,) * 4, mode="replicate").bfloat16())


def test_time_is_computed_in_float32_under_autocast() -> None:
    """bfloat16 has 8 bits: 1000 t in it would merge neighbouring times."""
    embedding = TimeEmbedding(32)
    t = torch.tensor([0.900, 0.901])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = features_before_perceptron(embedding, t)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, features_before_perceptron(embedding, t))


def test_regression_the_null_style_has_a_row_of_its_own() -> None:
    """One row more than styles; the null id reads the last, each style its own: 4 ids."""
    embedding = StyleEmbedding(3, 5)
    assert embedding.table.weight.shape == (4, 5)
    rows = embedding(torch.tensor([0, 1, 2, NULL_STYLE]))
    assert torch.equal(rows, embedding.table.weight)
    assert (torch.cdist(rows, rows) + torch.eye(4)).min() > 0.1


def test_the_null_row_learns_from_null_samples_only() -> None:
    """Gradients reach exactly the rows that a batch names."""
    embedding = StyleEmbedding(3, 5)
    embedding(torch.tensor([1, NULL_STYLE, 1])).sum().backward()
    grad = embedding.table.weight.grad
    assert grad is not None
    assert grad.sum(1).tolist() == [0, 10, 0, 5]


def test_an_id_beyond_the_styles_is_not_the_null_style() -> None:
    """A wrong id is an error, as one further beyond is, not the unconditional branch."""
    embedding = StyleEmbedding(3, 5)
    with pytest.raises((IndexError, ValueError)):
        embedding(torch.tensor([3]))


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_style_conv_equals_a_loop_over_samples(
    kernel_size: int, memory_format: torch.memory_format, generator: Generator
) -> None:
    """One grouped convolution for the batch == a depthwise convolution a sample: 6 cases."""
    layer = StyleDynamicConv(8, 6, kernel_size)
    x = torch.randn(3, 8, 7, 5, generator=generator).contiguous(memory_format=memory_format)
    style = torch.randn(3, 6, generator=generator)
    kernels = layer.kernels(style)
    out = layer(x, kernels)
    made = layer.hypernetwork(style / 6**0.5).reshape(3, 8, kernel_size**2 + 1)
    delta = torch.zeros(kernel_size**2)
    delta[kernel_size**2 // 2] = 1
    for i in range(3):
        weight = (made[i, :, :-1] + delta).reshape(8, 1, kernel_size, kernel_size)
        padded = F.pad(x[i : i + 1], [kernel_size // 2] * 4, mode="replicate")
        alone = F.conv2d(padded, weight, made[i, :, -1], groups=8)
        torch.testing.assert_close(out[i : i + 1], alone)


def test_style_conv_starts_near_the_identity_but_not_at_it(generator: Generator) -> None:
    """A zero hypernetwork is the identity; a fresh one is within reach of it, and styles differ."""
    layer = StyleDynamicConv(16, 32)
    x = torch.randn(2, 16, 9, 9, generator=generator)
    style = torch.randn(2, 32, generator=generator)
    fresh = layer(x, layer.kernels(style))
    departure = (fresh - x).square().mean().sqrt().item()
    assert 0.05 < departure < 1.5
    torch.nn.init.zeros_(layer.hypernetwork.weight)
    torch.testing.assert_close(layer(x, layer.kernels(style)), x)


def test_style_conv_is_depthwise_and_small(generator: Generator) -> None:
    """A channel of the output depends on its own input channel; channels * (k^2 + 1) outputs."""
    layer = StyleDynamicConv(8, 4)
    assert layer.hypernetwork.out_features == 8 * 10
    x = torch.randn(1, 8, 6, 6, generator=generator)
    kernels = layer.kernels(torch.randn(1, 4, generator=generator))
    changed = x.clone()
    changed[:, 3] += 1
    differs = (layer(x, kernels) != layer(changed, kernels)).flatten(2).any(2)[0]
    assert differs.tolist() == [False] * 3 + [True] + [False] * 4


def test_the_edge_is_repeated(generator: Generator) -> None:
    """Blocks turn features that are flat into features that are flat: no block sees the border."""
    flat = torch.randn(2, 16, 1, 1, generator=generator).expand(2, 16, 5, 6)
    time, style = torch.randn(2, 8, generator=generator), torch.randn(2, 6, generator=generator)
    conditioned = (StyleBlock(16, 8, 6, 5), AdaGNBlock(16, 8, 6))
    outs = [EncoderBlock(16, 8)(flat, time)]
    outs += [block(flat, time, block.style_parameters(style)) for block in conditioned]
    for out in outs:
        torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), atol=1e-5, rtol=0)


def test_style_conv_takes_half_precision_features(generator: Generator) -> None:
    """Under autocast kernels may be float32 while features are bfloat16."""
    layer = StyleDynamicConv(8, 4)
    x = torch.randn(2, 8, 6, 6, generator=generator)
    kernels = layer.kernels(torch.randn(2, 4, generator=generator))
    out = layer(x.bfloat16(), kernels)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), layer(x, kernels), atol=0.05, rtol=0.05)


def test_regression_gain_and_offset_of_a_style_survive_the_block(generator: Generator) -> None:
    """Doubling a style's kernels, or shifting them, changes the block's output.

    A normalisation right after the style convolution would undo both.
    """
    block = StyleBlock(16, 8, 8, 3)
    x, time = torch.randn(1, 16, 8, 8, generator=generator), torch.randn(1, 8, generator=generator)
    kernels = block.style_parameters(torch.randn(1, 8, generator=generator))
    out = block(x, time, kernels)
    louder, shifted = 2 * kernels, kernels.clone()
    shifted[..., -1] += 1
    for changed in (louder, shifted):
        difference = (block(x, time, changed) - out).abs().mean()
        assert difference > 0.2 * (out - x).abs().mean()


def test_blocks_keep_shapes_and_hear_all_their_inputs(generator: Generator) -> None:
    """Every block is residual of the same shape; features, time and style all get gradients."""
    checked = 0
    style = torch.randn(2, 6, generator=generator)
    for block, size in itertools.product(
        (EncoderBlock(16, 8), StyleBlock(16, 8, 6, 3), AdaGNBlock(16, 8, 6)),
        ((8, 8), (1, 1), (3, 5)),
    ):
        x = torch.randn(2, 16, *size, generator=generator, requires_grad=True)
        time = torch.randn(2, 8, generator=generator, requires_grad=True)
        inputs = [x, time]
        if not isinstance(block, EncoderBlock):
            inputs.append(block.style_parameters(style).detach().requires_grad_())
        out = block(*inputs)
        assert out.shape == x.shape
        out.square().sum().backward()
        for each in inputs:
            assert each.grad is not None
            assert torch.isfinite(each.grad).all()
            assert each.grad.abs().sum() > 0
        checked += 1
    print(f"{checked} blocks and sizes checked")
    assert checked == 9


@pytest.mark.parametrize("channels", [8, 16, 128, 512])
def test_norm_groups_hold_eight_channels(channels: int) -> None:
    """The documented group size, for 4 widths."""
    norm = group_norm(channels)
    assert norm.num_channels / norm.num_groups == 8
    assert math.gcd(channels, 8) == 8
