"""The pretended GPU refuses what CUDA refuses, and takes what CUDA takes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pretended import DeviceMixError, pretended_gpu
from torch import Generator, Tensor, nn

# ruff: noqa: ARG005 (each is called with a tensor of the GPU and one of the CPU)
Call = Callable[[Tensor, Tensor], object]

REFUSED: dict[str, Call] = {
    "add": lambda g, c: g + c,
    "add in place to the CPU": lambda g, c: c.add_(g),
    "sum into a number of the CPU": lambda g, c: torch.zeros(()).add_(g.sum()),
    "product": lambda g, c: g @ c.T,
    "convolution": lambda g, c: F.conv2d(c[None, None], g[None, None]),
    "linear": lambda g, c: F.linear(c, g),
    "cat": lambda g, c: torch.cat([g, c]),
    "stack of numbers": lambda g, c: torch.stack([g.sum(), c.sum()]),
    "index of the GPU": lambda g, c: c[g.argmax(1)],
    "values of the CPU at indices": lambda g, c: g.index_put_((torch.tensor([0]),), c[0]),
    "index_select": lambda g, c: g.index_select(0, torch.tensor([0])),
    "gather": lambda g, c: g.gather(0, c.argsort(0)),
    "embedding": lambda g, c: F.embedding(torch.tensor([0]), g),
    "where": lambda g, c: torch.where(c > 0, g, g),
    "masked_fill": lambda g, c: g.masked_fill(c > 0, 0.0),
    "equal": lambda g, c: torch.equal(g, c),
    "a list with another": lambda g, c: torch._foreach_add([g, g], [g, c]),
    "numpy": lambda g, c: g.numpy(),
    "drawing with a generator of the CPU": lambda g, c: g.normal_(generator=Generator()),
    "making with a generator of the CPU": lambda g, c: torch.randn(
        2, generator=Generator(), device="cuda"
    ),
    "a parameter": lambda g, c: nn.Parameter(g) * c,
    "a view": lambda g, c: g.T.flatten()[1:] + c.flatten()[1:],
    "a copy of a module": lambda g, c: copy.deepcopy(nn.Linear(3, 3).to("cuda"))(c),
    "backward with a saved tensor": lambda g, c: _crossing(c.requires_grad_()).backward(g),
}

TAKEN: dict[str, Call] = {
    "a number of the CPU": lambda g, c: g * c.sum(),
    "index of the CPU": lambda g, c: g[torch.tensor([0, 1])],
    "mask of the CPU": lambda g, c: g[c > 0],
    "values at a slice": lambda g, c: g.__setitem__(slice(0, 1), c[:1]),
    "copy": lambda g, c: c.copy_(g),
    "number at indices": lambda g, c: g.index_put_((torch.tensor([0]),), torch.tensor(1.0)),
    "moved there": lambda g, c: g + c.to("cuda"),
    "moved by another": lambda g, c: g + c.to(g),
    "moved back": lambda g, c: g.cpu() + c,
    "made there": lambda g, c: g + torch.ones(2, 3, device=g.device),
    "made like": lambda g, c: g + torch.zeros_like(g) + g.new_ones(2, 3),
    "made of numbers like": lambda g, c: g + g.new_tensor([1.0, 2.0, 3.0]),
    "module": lambda g, c: nn.Linear(3, 1).to("cuda")(g),
}


def _crossing(x: Tensor) -> Tensor:
    """Return a tensor of the CPU whose gradient must be of the CPU."""
    return x.to("cuda").cpu() * torch.ones(2, 3)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cuda_refuses_is_refused(name: str) -> None:
    with pretended_gpu(), pytest.raises((DeviceMixError, TypeError)):
        REFUSED[name](torch.ones(2, 3).to("cuda"), torch.ones(2, 3))


@pytest.mark.parametrize("name", TAKEN)
def test_what_cuda_takes_is_taken(name: str) -> None:
    with pretended_gpu():
        TAKEN[name](torch.ones(2, 3).to("cuda"), torch.ones(2, 3))


def test_devices_are_told_and_gradients_go_back() -> None:
    """A leaf of the CPU gets a gradient of the CPU, a module's weights ones of the GPU."""
    with pretended_gpu():
        x = torch.ones(2, 3, requires_grad=True)
        layer = nn.Linear(3, 1).to("cuda:0")
        layer(x.to("cuda")).sum().backward()
        assert x.grad is not None
        assert layer.weight.grad is not None
        devices = x.device, x.grad.device, layer.weight.device, layer.weight.grad.device
        assert [device.type for device in devices] == ["cpu", "cpu", "cuda", "cuda"]
        assert torch.zeros_like(layer.weight).is_cuda
        assert not layer.weight.cpu().is_cuda
        assert [p.is_cuda for p in layer.to("cpu").parameters()] == [False, False]
    assert torch.ones(1).device.type == "cpu"
