"""The corrector: nothing at first, then what both ends of the path, the time and the style say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.nn import LGTUNet
from lgt.nn.blocks import activated


def network(**options: Any) -> LGTUNet:
    """Return a small network with weights of a fixed seed."""
    small = {"base_channels": 16, "style_dim": 12, "time_dim": 16, "num_styles": 3}
    torch.manual_seed(0)
    return LGTUNet(**(small | options))


@pytest.mark.parametrize("injection", ["dynamic_conv", "adagn"])
def test_the_corrector_begins_as_nothing_and_sees_both_ends(
    injection: str, generator: Generator
) -> None:
    """A new corrector changes no value; then what it adds depends on state, end, time and style."""
    plain, corrected = (
        network(style_injection=injection, condition_on_source=False, num_corrector_blocks=count)
        for count in (0, 2)
    )
    assert corrected.corrector is not None
    corrected.load_state_dict(plain.state_dict(), strict=False)
    x, t, ids = torch.randn(2, 4, 9, 11, generator=generator), torch.zeros(2), torch.tensor([0, 1])
    before = plain(x, t, ids)
    assert torch.equal(corrected(x, t, ids), before)
    torch.nn.init.normal_(corrected.corrector.conv_out.weight, generator=generator)
    condition = corrected.condition(ids)
    styles = condition.styles[-2:]
    assert len(condition.styles) == len(plain.condition(ids).styles) + 2

    def added(x: Tensor, x_1: Tensor, t: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        assert corrected.corrector is not None
        found: Tensor = corrected.corrector(
            x, x_1, activated(corrected.time_embedding(t)), parameters
        )
        return found

    ends = x + before
    change = added(x, ends, t, styles)
    torch.testing.assert_close(corrected(x, t, ids), before + change)
    others = (
        added(x.flip(0), ends, t, styles),
        added(x, ends.flip(0), t, styles),
        added(x, ends, t + 0.5, styles),
        added(x, ends, t, [own.flip(0) for own in styles]),
    )
    assert all((change - other).abs().max() > 1e-3 for other in others)


def test_an_added_style_corrects_in_its_own_way(generator: Generator) -> None:
    """The code of an added style has offsets for the blocks of the corrector, too."""
    net = network(num_corrector_blocks=1, condition_on_source=False)
    assert net.corrector is not None
    torch.nn.init.normal_(net.corrector.conv_out.weight, generator=generator)
    length = net.style_dim + sum(a * b for a, b in net.offset_sizes)
    code = F.pad(net.style_embedding.table.weight.detach()[0], (0, length - net.style_dim))
    same = net.add_style(code)
    a, b = net.offset_sizes[-1]
    code[-a * b :] += torch.randn(a * b, generator=generator)
    other = net.add_style(code)
    x, t = torch.randn(1, 4, 8, 8, generator=generator), torch.zeros(1)
    own, copied, changed = (net(x, t, torch.tensor([style])) for style in (0, same, other))
    torch.testing.assert_close(own, copied)
    assert (own - changed).abs().max() > 1e-3
