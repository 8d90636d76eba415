"""Muon: orthogonal updates of matrices, AdamW for the rest, and a state that can be kept."""

from __future__ import annotations

import copy

import torch
from torch import nn

from lgt.train.optimizer import NEWTON_SCHULZ, OUTER_SHARE, Muon, orthogonalised


def test_singular_values_become_about_one() -> None:
    """Of a matrix with values from 0.05 to 1, tall or wide; its directions stay."""
    u, _ = torch.linalg.qr(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)))
    v, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)))
    matrix = u @ torch.diag(torch.tensor([1.0, 0.5, 0.3, 0.1, 0.05])) @ v.T
    for given in (matrix, matrix.T):
        found = orthogonalised(given)
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.5
        assert values.max() < 1.4
    turned = u.T @ orthogonalised(matrix) @ v
    assert (turned - torch.diag(turned.diagonal())).abs().max() < 1e-4


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 2, 3))


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    model(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_turn_and_offsets_follow_adamw() -> None:
    """An update's size is known: 0.2 of the rate for kernels, AdamW's first step for others."""
    model = network()
    before = copy.deepcopy(model.state_dict())
    one_step(model, Muon(model, 1e-2), 0)
    for name, value in model.state_dict().items():
        change = value - before[name]
        if name.endswith("weight"):
            expected = 0.2e-2 * max(change.shape[0], change[0].numel()) ** 0.5
            largest = torch.linalg.matrix_norm(change.reshape(len(change), -1), 2)
            assert 0.6 * expected < largest < 1.3 * expected
        else:
            size = torch.full_like(change, OUTER_SHARE * 1e-2)
            torch.testing.assert_close(change.abs(), size, rtol=1e-3, atol=0)


def test_two_steps_are_those_of_the_formula() -> None:
    """Momentum 0.95 that looks ahead (Nesterov), decay, and the scale of the update, written out.

    Gradients of two steps that are not parallel tell the look ahead from the momentum itself.
    """
    layer = nn.Linear(3, 4, bias=False)
    rate, decay, momentum = 1e-2, 0.1, 0.95
    optimizer = Muon(layer, rate, weight_decay=decay)
    expected, average = layer.weight.detach().clone(), torch.zeros(4, 3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        gradient = torch.randn(4, 3, generator=generator)
        layer.weight.grad = gradient.clone()
        optimizer.step()
        average = momentum * average + gradient
        ahead = orthogonalised(gradient + momentum * average)
        expected = (1 - rate * decay) * expected - rate * 0.2 * 4**0.5 * ahead
        torch.testing.assert_close(layer.weight.detach(), expected)
    plain = orthogonalised(average)
    assert (ahead - plain).abs().max() > 0.1, "the look ahead makes a difference here"


def test_matrices_of_one_shape_turn_together_as_each_would_alone() -> None:
    """Tall and wide ones, by the formula written out for one matrix."""
    a, b, c = NEWTON_SCHULZ
    for shape in ((3, 6, 10), (3, 10, 6)):
        given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        for matrix, found in zip(given, orthogonalised(given), strict=True):
            x = matrix.T if shape[1] > shape[2] else matrix
            x = x / x.norm()
            for _ in range(5):
                gram = x @ x.T
                x = a * x + (b * gram + c * gram @ gram) @ x
            torch.testing.assert_close(found, x.T if shape[1] > shape[2] else x)


def test_it_learns() -> None:
    """A target that the network can reach is reached."""
    model, target = network(), network()
    with torch.no_grad():
        target[0].weight += 0.3
    optimizer = Muon(model, 2e-2)
    losses = []
    for step in range(60):
        x = torch.randn(8, 3, 9, 9, generator=torch.Generator().manual_seed(step))
        loss = (model(x) - target(x)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_its_state_goes_on_after_a_restart() -> None:
    """Steps after `load_state_dict` are those of a run that was never stopped, to the last bit."""
    model = network()
    optimizer = Muon(model, 1e-2, weight_decay=0.1)
    one_step(model, optimizer, 0)
    again = copy.deepcopy(model)
    resumed = Muon(again, 1e-2, weight_decay=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    one_step(model, optimizer, 1)
    one_step(again, resumed, 1)
    for value, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(value, other)
