"""LGTUNet: any size and depth, live conditions, and the same values on every execution path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.errors import InputError
from lgt.nn import NULL_STYLE, AdaGNBlock, LGTUNet, StyleBlock
from lgt.nn.style_conv import StyleHead
from lgt.nn.unet import blocks_per_level

INJECTIONS = ["dynamic_conv", "adagn"]


def network(**options: Any) -> LGTUNet:
    """Return a small network with weights of a fixed seed."""
    small = {"base_channels": 16, "style_dim": 12, "time_dim": 16, "num_styles": 3}
    torch.manual_seed(0)
    return LGTUNet(**(small | options))


def inputs(*shape: int, generator: Generator) -> dict[str, Tensor]:
    """Return arguments for a batch of latents of a shape."""
    batch = shape[0]
    return {
        "x": torch.randn(*shape, generator=generator),
        "t": torch.rand(batch, generator=generator),
        "target_style_id": torch.arange(batch) % 3,
        "source_style_id": (torch.arange(batch) + 1) % 3,
        "x_src": torch.randn(*shape, generator=generator),
    }


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """Switch the tests' shape checks off, which a compiler can not trace."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    "height,width", [(1, 1), (2, 3), (5, 7), (8, 8), (33, 20), (32, 32), (64, 64), (9, 64)]
)
def test_any_height_and_width(height: int, width: int, generator: Generator) -> None:
    """Sizes that do not divide are padded inside and cut: 8 sizes."""
    out = network()(**inputs(2, 4, height, width, generator=generator))
    assert out.shape == (2, 4, height, width)
    assert torch.isfinite(out).all()
    assert out.abs().max() > 0


@pytest.mark.parametrize("encoder_blocks", [1, 2, 3, 4])
@pytest.mark.parametrize("decoder_blocks", [1, 2, 3, 4])
@pytest.mark.parametrize("injection", INJECTIONS)
def test_depth_is_what_was_asked_for(
    encoder_blocks: int, decoder_blocks: int, injection: str, generator: Generator
) -> None:
    """Counts of blocks and the bottleneck's resolution, measured by a hook: 32 networks."""
    net = network(
        base_channels=8,
        num_encoder_blocks=encoder_blocks,
        num_decoder_blocks=decoder_blocks,
        style_injection=injection,
    )
    seen: list[torch.Size] = []
    net.bottleneck.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    out = net(**inputs(1, 4, 18, 33, generator=generator))
    side = 2**encoder_blocks
    assert seen == [(1, 8 * side, -(-18 // side), -(-33 // side))]
    assert out.shape == (1, 4, 18, 33)
    assert len(net.encoder) == len(net.downs) == len(net.ups) == encoder_blocks
    kind = StyleBlock if injection == "dynamic_conv" else AdaGNBlock
    assert sum(isinstance(module, kind) for module in net.modules()) == decoder_blocks


def test_documented_resolutions(generator: Generator) -> None:
    """The defaults take 32 x 32 to an 8 x 8 bottleneck of 512 channels and back."""
    net = LGTUNet()
    seen: list[torch.Size] = []
    net.bottleneck.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    with torch.no_grad():
        batch = inputs(1, 4, 32, 32, generator=generator)
        assert net(**batch).shape == (1, 4, 32, 32)
    assert seen == [(1, 512, 8, 8)]
    assert [len(level) for level in net.decoder] == [1, 1, 1]


def test_decoder_blocks_are_spread_finest_first() -> None:
    """All blocks are placed, levels differ by one at most, the finest is never behind: 24 cases."""
    checked = 0
    for levels in range(2, 6):
        for blocks in range(1, 7):
            counts = blocks_per_level(blocks, levels)
            assert len(counts) == levels
            assert sum(counts) == blocks
            assert counts == sorted(counts)
            assert max(counts) - min(counts) <= 1
            checked += 1
    print(f"{checked} spreads checked")
    assert checked == 24


@pytest.mark.parametrize("injection", INJECTIONS)
def test_regression_the_style_is_alive_at_initialisation(
    injection: str, generator: Generator
) -> None:
    """One source, one time: every pair of 3 styles and the null style differs, 6 pairs."""
    net = network(style_injection=injection)
    one = inputs(1, 4, 16, 16, generator=generator)
    ids = torch.tensor([0, 1, 2, NULL_STYLE])
    out = net(
        one["x"].expand(4, -1, -1, -1),
        one["t"].expand(4),
        ids,
        None,
        one["x_src"].expand(4, -1, -1, -1),
    )
    distances = [(out[i] - out[j]).abs().mean() for i in range(4) for j in range(i)]
    assert len(distances) == 6
    assert min(distances) > 0.05 * out.abs().mean()


@pytest.mark.parametrize("injection", INJECTIONS)
def test_regression_every_condition_moves_the_velocity(
    injection: str, generator: Generator
) -> None:
    """Time, target style, source style, source and state each change the output."""
    net = network(style_injection=injection)
    base = inputs(1, 4, 16, 16, generator=generator)
    out = net(**base)
    changes = {
        "x": base["x"] + 1,
        "t": base["t"] * 0.5,
        "target_style_id": torch.tensor([2]),
        "source_style_id": torch.tensor([NULL_STYLE]),
        "x_src": base["x_src"] + 1,
    }
    for name, value in changes.items():
        difference = (net(**(base | {name: value})) - out).abs().mean()
        assert difference > 0.01 * out.abs().mean(), name


def test_regression_the_encoder_sees_time(generator: Generator) -> None:
    """Features of every encoder stage and of the bottleneck differ between two times."""
    net = network()
    seen: list[Tensor] = []
    for block in (*net.encoder, net.bottleneck):
        block.register_forward_hook(lambda _, __, out: seen.append(out))
    base = inputs(1, 4, 16, 16, generator=generator)
    net(**(base | {"t": torch.tensor([0.2])}))
    early = seen.copy()
    seen.clear()
    net(**(base | {"t": torch.tensor([0.8])}))
    assert len(early) == len(seen) == 3
    for a, b in zip(early, seen, strict=True):
        assert (a - b).abs().mean() > 0.01 * a.abs().mean()


def test_a_missing_source_style_is_the_null_style(generator: Generator) -> None:
    """None and `NULL_STYLE` are one."""
    net = network()
    base = inputs(2, 4, 8, 8, generator=generator)
    nobody = net(**(base | {"source_style_id": torch.full((2,), NULL_STYLE)}))
    assert torch.equal(net(**(base | {"source_style_id": None})), nobody)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_the_network_does_not_know_where_the_border_is(
    injection: str, generator: Generator
) -> None:
    """A flat latent has a flat velocity, also at a size that is padded."""
    net = network(style_injection=injection)
    base = inputs(1, 4, 1, 1, generator=generator)
    for name in ("x", "x_src"):
        base[name] = base[name].expand(1, 4, 10, 13)
    out = net(**base)
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), atol=1e-6, rtol=0)
    assert out.abs().max() > 1e-4


def test_samples_do_not_see_each_other(generator: Generator) -> None:
    """A batch of mixed styles and times equals its samples one by one."""
    net = network()
    base = inputs(3, 4, 12, 8, generator=generator)
    together = net(**base)
    for i in range(3):
        alone = net(**{name: value[i : i + 1] for name, value in base.items()})
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=1e-4)


def test_the_condition_is_made_once_and_reused(generator: Generator) -> None:
    """`condition` + `velocity` == `forward`, at two times of one path."""
    net = network()
    base = inputs(2, 4, 8, 8, generator=generator)
    condition = net.condition(base["target_style_id"], base["source_style_id"], base["x_src"])
    assert len(condition.styles) == 3
    for t in (base["t"], base["t"] / 2):
        expected = net(**(base | {"t": t}))
        assert torch.equal(net.velocity(base["x"], t, condition), expected)


def test_styles_share_all_weights_but_their_embeddings() -> None:
    """A further style costs one row in each of the two tables, and nothing else."""
    for injection in INJECTIONS:
        sizes = [
            sum(p.numel() for p in network(num_styles=n, style_injection=injection).parameters())
            for n in (3, 4, 9)
        ]
        assert sizes[1] - sizes[0] == 12 + 16  # style_dim + time_dim
        assert sizes[2] - sizes[0] == 6 * (12 + 16)


def test_every_parameter_learns(generator: Generator) -> None:
    """No dead weight: all parameters get a finite gradient that is not zero."""
    for injection in INJECTIONS:
        net = network(style_injection=injection)
        net(**inputs(3, 4, 16, 16, generator=generator)).square().sum().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("channels", [1, 4, 16])
@pytest.mark.parametrize("condition_on_source", [True, False])
def test_channels_with_and_without_source(
    channels: int, condition_on_source: bool, generator: Generator
) -> None:
    """1, 4 and 16 latent channels; the source doubles the input channels: 6 networks."""
    net = network(latent_channels=channels, condition_on_source=condition_on_source)
    base = inputs(2, channels, 8, 8, generator=generator)
    if not condition_on_source:
        base.pop("x_src")
    assert net.conv_in.in_channels == channels * (1 + condition_on_source)
    assert net(**base).shape == (2, channels, 8, 8)


def test_errors_say_whether_a_source_is_needed(generator: Generator) -> None:
    """A missing source, and one too many, are named with the key that decides."""
    x, ids = torch.randn(2, 4, 8, 8, generator=generator), torch.tensor([0, 1])
    with pytest.raises(InputError, match=r"needs x_src \(condition_on_source=True\)"):
        network().condition(ids)
    with pytest.raises(InputError, match=r"takes no x_src \(condition_on_source=False\)"):
        network(condition_on_source=False).condition(ids, None, x)


def test_gradient_checkpointing_changes_no_value(generator: Generator) -> None:
    """Output and all gradients are the same with activations recomputed."""
    base = inputs(2, 4, 8, 12, generator=generator)
    results = []
    for recompute in (False, True):
        net = network(use_gradient_checkpointing=recompute)
        saved: list[int] = []
        pack = torch.autograd.graph.saved_tensors_hooks(
            lambda x, saved=saved: (saved.append(x.numel()), x)[1], lambda x: x
        )
        with pack:
            out = net(**base)
        out.square().sum().backward()
        results.append((out, {n: p.grad for n, p in net.named_parameters()}, sum(saved)))
    plain, recomputed = results
    torch.testing.assert_close(plain[0], recomputed[0])
    torch.testing.assert_close(plain[1], recomputed[1])
    assert recomputed[2] < 0.6 * plain[2]  # activations kept for the backward pass


@pytest.mark.parametrize("injection", INJECTIONS)
def test_channels_last_changes_no_value(injection: str, generator: Generator) -> None:
    """The memory format is one of storage alone, at a size that is padded, too."""
    net = network(style_injection=injection)
    base = inputs(2, 4, 9, 10, generator=generator)
    plain = net(**base)
    net = net.to(memory_format=torch.channels_last)
    for name in ("x", "x_src"):
        base[name] = base[name].contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(net(**base), plain, atol=1e-6, rtol=1e-4)


@pytest.mark.usefixtures("without_shape_checks")
def test_compiled_equals_eager(generator: Generator) -> None:
    """`torch.compile` traces the field as one graph, forward and gradient the same."""
    net = network(base_channels=8, num_encoder_blocks=1, num_decoder_blocks=1)
    base = inputs(2, 4, 8, 8, generator=generator)
    condition = net.condition(base["target_style_id"], None, base["x_src"])
    compiled = torch.compile(net.velocity, backend="eager", fullgraph=True)
    out = compiled(base["x"], base["t"], condition)
    torch.testing.assert_close(out, net.velocity(base["x"], base["t"], condition))
    out.sum().backward()
    assert net.conv_in.weight.grad is not None


def test_autocast_stays_near_float32(generator: Generator) -> None:
    """bfloat16 is close to float32, for both injections."""
    base = inputs(2, 4, 16, 16, generator=generator)
    for injection in INJECTIONS:
        net = network(style_injection=injection)
        exact = net(**base)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net(**base)
        assert (half.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_state_dict_round_trip(generator: Generator) -> None:
    """Weights alone make the network: buffers are constants and are not stored."""
    net, other = network(), network()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}
    other.load_state_dict(net.state_dict())
    base = inputs(2, 4, 8, 8, generator=generator)
    assert torch.equal(net(**base), other(**base))


def test_the_head_begins_as_nothing_and_is_the_styles_own(generator: Generator) -> None:
    """A new head changes no value; then a style's own kernels move that style's velocity alone."""
    torch.manual_seed(0)
    plain = LGTUNet(base_channels=8, style_dim=8, time_dim=8, num_decoder_blocks=3)
    headed = LGTUNet(
        base_channels=8, style_dim=8, time_dim=8, num_decoder_blocks=3, style_head_channels=5
    )
    assert headed.head is not None
    headed.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 4, 9, 11, generator=generator)
    t, ids = torch.zeros(2), torch.tensor([0, 1])
    before = plain(x, t, ids, x_src=x)
    assert torch.equal(headed(x, t, ids, x_src=x), before)
    own = headed.style_embedding.table.weight.detach()[0]
    with torch.no_grad():
        other = headed.style_embedding.table.weight[1]
        own_only = own - (own @ other) / (other @ other) * other
        headed.head.hypernetwork.weight += own_only  # Orthogonal to the other style's embedding.
    change = (headed(x, t, ids, x_src=x) - before).abs().amax((1, 2, 3))
    assert change[0] > 1e-3
    assert change[1] < 1e-5


def test_two_convolutions_are_what_the_head_computes(generator: Generator) -> None:
    """Kernels and offsets in the documented order, the edge repeated, each sample with its own."""
    head = StyleHead(4, 3, 8)
    x = torch.randn(2, 4, 6, 7, generator=generator)
    parameters = torch.randn(2, 4 * 3 * 9 + 3 + 3 * 4 * 9 + 4, generator=generator)
    found = head(x, parameters)
    for i in range(2):
        k1, b1, k2, b2 = torch.split(parameters[i], [108, 3, 108, 4])
        h = F.conv2d(F.pad(x[i : i + 1], (1,) * 4, mode="replicate"), k1.view(3, 4, 3, 3), b1)
        h = F.pad(F.silu(h), (1,) * 4, mode="replicate")
        expected = F.conv2d(h, k2.view(4, 3, 3, 3), b2)
        torch.testing.assert_close(found[i : i + 1], expected, rtol=1e-4, atol=1e-4)
