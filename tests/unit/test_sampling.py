"""Sampling: start states, guidance with a real unconditional branch, and seeds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from lgt.dynamics import (
    constant,
    decaying_guidance,
    euler_step,
    heun_step,
    integrate,
    start_state,
    temperature,
)
from lgt.dynamics.solvers import Step
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.paint.sampling import sample


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def network(**options: Any) -> LGTUNet:
    """Return a small network whose velocity is as large as its states."""
    small = {"base_channels": 8, "style_dim": 8, "time_dim": 8, "num_styles": 3}
    torch.manual_seed(0)
    net = LGTUNet(**(small | options)).eval()
    torch.nn.init.normal_(net.conv_out.weight, std=0.1)
    return net


class Recorder:
    """Notes each evaluation's states, times and condition, and passes it on."""

    def __init__(self, net: LGTUNet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[Tensor] = []
        self.times: list[Tensor] = []
        inner = net.velocity

        def velocity(x: Tensor, t: Tensor, condition: Any) -> Tensor:
            self.states.append(x)
            self.times.append(t)
            return inner(x, t, condition)

        monkeypatch.setattr(net, "velocity", velocity)


@pytest.fixture
def x_src() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=seeded(1))


TARGETS, SOURCES = torch.tensor([1, 2]), torch.tensor([0, 1])


@pytest.mark.parametrize(
    "start,start_time", [("source", 0.0), ("noised_source", 0.3), ("noise", 0.0)]
)
@pytest.mark.parametrize("step", [euler_step, heun_step])
def test_regression_sampling_integrates_the_map_of_training(
    start: str, start_time: float, step: Step, x_src: Tensor
) -> None:
    """`sample` == `integrate` of the network's own forward, from the same start: 6 cases."""
    net = network()
    out = sample(
        net,
        x_src,
        TARGETS,
        SOURCES,
        num_steps=5,
        step=step,
        start=start,
        start_time=start_time,
        diffusion=temperature(0.4, 0.5),
        generator=seeded(2),
    )
    generator = seeded(2)
    x = x_src if start == "source" else start_state(x_src, start_time, generator)
    with torch.no_grad():
        expected = integrate(
            lambda x, t: net(x, t, TARGETS, SOURCES, x_src),
            x,
            num_steps=5,
            start=start_time,
            step=step,
            diffusion=temperature(0.4, 0.5),
            generator=generator,
        )
    torch.testing.assert_close(out, expected)
    assert not torch.isclose(out, x_src).all()


def test_regression_the_source_is_the_start_and_the_last_time_is_not_skipped(
    x_src: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No inversion, no noise: the first state is the source, at times 0, 1/4, 1/2 and 3/4."""
    net = network()
    seen = Recorder(net, monkeypatch)
    sample(net, x_src, TARGETS, num_steps=4)
    assert torch.equal(seen.states[0], x_src)
    assert [float(t[0]) for t in seen.times] == [0, 0.25, 0.5, 0.75]


def test_noised_source_starts_at_its_time(x_src: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """`(1 - t) noise + t source` at t = 0.5, then a uniform grid of what remains."""
    net = network()
    seen = Recorder(net, monkeypatch)
    sample(
        net, x_src, TARGETS, num_steps=2, start="noised_source", start_time=0.5, generator=seeded(3)
    )
    assert torch.equal(seen.states[0], start_state(x_src, 0.5, seeded(3)))
    assert [float(t[0]) for t in seen.times] == [0.5, 0.75]


def test_start_time_is_a_dial_to_the_source(x_src: Tensor) -> None:
    """Later starts end nearer the source; at 1 it is returned as it is, with noise on."""
    net = network()
    distances = []
    for start_time in (0.0, 0.3, 0.6, 0.9, 1.0):
        out = sample(
            net,
            x_src,
            TARGETS,
            num_steps=4,
            start="noised_source",
            start_time=start_time,
            diffusion=constant(0.1),
            generator=seeded(3),
        )
        distances.append((out - x_src).square().mean().item())
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0


def test_start_time_matters_to_noised_sources_only(x_src: Tensor) -> None:
    """Other starts begin at 0 whatever `start_time` says."""
    net = network()
    for start in ("source", "noise"):
        outs = [
            sample(net, x_src, TARGETS, num_steps=2, start=start, start_time=t, generator=seeded(1))
            for t in (0.0, 0.7)
        ]
        assert torch.equal(*outs)


def test_an_unknown_start_is_an_error(x_src: Tensor) -> None:
    """A misspelt start must not become pure noise."""
    with pytest.raises(ValueError, match="start"):
        sample(network(), x_src, TARGETS, num_steps=1, start="sources")


def test_regression_guidance_of_one_equals_the_conditional_path(x_src: Tensor) -> None:
    """Scale 1, constant or decaying from 1, is guidance switched off."""
    net = network()
    plain = sample(net, x_src, TARGETS, SOURCES, num_steps=4)
    for scale in (constant(1.0), decaying_guidance(1.0)):
        guided = sample(net, x_src, TARGETS, SOURCES, num_steps=4, guidance=scale)
        torch.testing.assert_close(guided, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("condition_on_source", [True, False])
def test_regression_batched_guidance_equals_two_calls(
    condition_on_source: bool, x_src: Tensor
) -> None:
    """The unconditional branch is the null target style, with source and source style kept."""
    net = network(condition_on_source=condition_on_source)
    sources = x_src if condition_on_source else None
    scale = decaying_guidance(3.0)
    out = sample(net, x_src, TARGETS, SOURCES, num_steps=4, guidance=scale)

    def two_calls(x: Tensor, t: Tensor) -> Tensor:
        conditional = net(x, t, TARGETS, SOURCES, sources)
        unconditional = net(x, t, torch.full_like(TARGETS, NULL_STYLE), SOURCES, sources)
        return unconditional + scale(t)[:, None, None, None] * (conditional - unconditional)

    with torch.no_grad():
        expected = integrate(two_calls, x_src, num_steps=4)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)


def test_guidance_of_zero_ignores_the_target(x_src: Tensor) -> None:
    """Scale 0 is the null style, whatever the target; scale 2 moves away from it."""
    net = network()
    null = sample(net, x_src, torch.full((2,), NULL_STYLE), SOURCES, num_steps=3)
    for targets in (TARGETS, SOURCES):
        out = sample(net, x_src, targets, SOURCES, num_steps=3, guidance=constant(0.0))
        torch.testing.assert_close(out, null, atol=1e-5, rtol=1e-4)
    plain, strong = (
        sample(net, x_src, TARGETS, SOURCES, num_steps=1, guidance=constant(s)) for s in (1.0, 2.0)
    )
    null_step = sample(net, x_src, torch.full((2,), NULL_STYLE), SOURCES, num_steps=1)
    torch.testing.assert_close(strong - null_step, 2 * (plain - null_step), atol=1e-5, rtol=1e-3)


def test_evaluations_are_one_a_step_with_and_without_guidance(
    x_src: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guidance doubles the batch, not the calls; without it there is no second branch."""
    net = network()
    seen = Recorder(net, monkeypatch)
    sample(net, x_src, TARGETS, num_steps=3)
    assert [len(x) for x in seen.states] == [2, 2, 2]
    seen.states.clear()
    sample(net, x_src, TARGETS, num_steps=3, guidance=constant(2.0))
    assert [len(x) for x in seen.states] == [4, 4, 4]


def test_an_unknown_source_style_is_the_null_style(x_src: Tensor) -> None:
    """None and `NULL_STYLE` are one; a known source style makes a difference."""
    net = network()
    nobody, null, known = (
        sample(net, x_src, TARGETS, style, num_steps=2)
        for style in (None, torch.full((2,), NULL_STYLE), SOURCES)
    )
    assert torch.equal(nobody, null)
    assert not torch.equal(nobody, known)


def test_regression_styles_give_one_source_different_results(x_src: Tensor) -> None:
    """Each of 3 pairs of target ids ends elsewhere."""
    outs = [sample(network(), x_src, torch.full((2,), style), num_steps=4) for style in range(3)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (outs[i] - outs[j]).abs().mean() > 1e-3


def test_one_seed_gives_one_result(x_src: Tensor) -> None:
    """Start noise and late noise come from the generator; without noise it is not touched."""
    net = network()
    options: dict[str, Any] = {"num_steps": 4, "start": "noise", "diffusion": constant(0.5)}
    first, again, other = (
        sample(net, x_src, TARGETS, generator=seeded(seed), **options) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    generator = seeded(1)
    state = generator.get_state()
    sample(net, x_src, TARGETS, num_steps=2, generator=generator)
    assert torch.equal(generator.get_state(), state)


def test_a_batch_of_mixed_targets_equals_single_calls(x_src: Tensor) -> None:
    """Guided, without noise: neighbours in a batch have no influence."""
    net = network()
    together = sample(net, x_src, TARGETS, SOURCES, num_steps=3, guidance=decaying_guidance(2.0))
    for i in range(2):
        alone = sample(
            net,
            x_src[i : i + 1],
            TARGETS[i : i + 1],
            SOURCES[i : i + 1],
            num_steps=3,
            guidance=decaying_guidance(2.0),
        )
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)


def test_sampling_keeps_no_graph_and_any_size() -> None:
    """No gradient is recorded, and the latent may have any height and width."""
    odd = torch.randn(2, 4, 5, 11, generator=seeded(1))
    out = sample(network(), odd, TARGETS, num_steps=2, guidance=constant(2.0))
    assert out.shape == odd.shape
    assert not out.requires_grad
