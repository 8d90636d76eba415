"""Strided depthwise convolutions: a gradient of our own in the place of a slow one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lgt.nn.backbone import load_backbone
from lgt.nn.depthwise import StridedDepthwise, strided_depthwise


@pytest.mark.parametrize("side", [9, 10])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 3)])
def test_the_gradient_is_that_of_the_convolution(
    side: int, kernel: int, stride: int, generator: Generator
) -> None:
    x = torch.randn(2, 3, side, side + 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 1, kernel, kernel, generator=generator, dtype=torch.float64)
    bias = torch.randn(3, generator=generator, dtype=torch.float64)
    pair = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours = strided_depthwise(pair[0], weight, bias, stride)
    theirs = F.conv2d(pair[1], weight, bias, stride=stride, groups=3)
    torch.testing.assert_close(ours, theirs)
    for out in (ours, theirs):
        out.backward(torch.arange(out.numel(), dtype=out.dtype).reshape(out.shape))
    torch.testing.assert_close(pair[0].grad, pair[1].grad)


class Same(nn.Conv2d):
    """As the packages of these networks have it: zeros are put around before."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.static_padding(x))


@pytest.mark.parametrize("padding", [0, 1])
def test_in_bfloat16_a_module_is_the_convolution_it_holds(
    padding: int, generator: Generator
) -> None:
    plain = Same(4, 4, 3, stride=2, groups=4, padding=padding).requires_grad_(False)
    plain.static_padding = nn.Identity() if padding else nn.ZeroPad2d((0, 1, 0, 1))
    module = StridedDepthwise(plain.bfloat16())
    x = torch.randn(1, 4, 8, 8, generator=generator).bfloat16()
    pair = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, theirs = module(pair[0]), plain(pair[1])
    assert "_Strided" in ours.grad_fn.name(), "the slow gradient"
    assert torch.equal(ours, theirs)
    assert torch.equal(module(x), theirs), "without a gradient"
    for out in (ours, theirs):
        out.float().square().sum().backward()
    torch.testing.assert_close(pair[0].grad, pair[1].grad, atol=0.02, rtol=0.02)


def test_networks_that_look_shrink_by_it() -> None:
    found = [m for m in load_backbone().modules() if isinstance(m, StridedDepthwise)]
    assert [module.convolution.kernel_size for module in found] == [(3, 3), (5, 5), (3, 3)]
