"""What the benchmarks share: times in turns, ratios within rounds, counted operations, tables."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import measuring

    return measuring


def test_functions_take_turns(measuring: ModuleType) -> None:
    """One untimed call each, then rounds; a time limit leaves three."""
    calls: list[str] = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    found = measuring.paired(functions, 5)
    assert calls == list("ab" * 6)
    assert [len(times.wall) for times in found.values()] == [5, 5]
    assert len(measuring.paired(functions, 5, seconds=0)["a"].cpu) == 3


def test_spreads_and_ratios(measuring: ModuleType) -> None:
    assert measuring.spread([4, 1, 3, 2, 5]) == {"median": 3, "q1": 2, "q3": 4}
    assert measuring.spread([7]) == {"median": 7, "q1": 7, "q3": 7}
    assert measuring.ratios([2, 9, 4], [1, 3, 1])["median"] == 3


def test_operations_are_counted_with_groups_and_backwards(measuring: ModuleType) -> None:
    """Two per multiplication: dense, grouped and transposed convolutions, matrix products."""
    x = torch.randn(2, 8, 10, 10, requires_grad=True)
    plain, grouped = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
    up = nn.ConvTranspose2d(8, 4, 2, stride=2)
    count = measuring.count_operations
    assert count(lambda: plain(x)) == 2 * 2 * 100 * 8 * 6 * 9
    assert count(lambda: grouped(x)) == 2 * 2 * 100 * 8 * 9
    assert count(lambda: grouped(x).sum().backward()) == 3 * 2 * 2 * 100 * 8 * 9
    assert count(lambda: up(x)) == 2 * 2 * 100 * 8 * 4 * 4
    assert count(lambda: torch.ones(5, 6) @ torch.ones(6, 7)) == 2 * 5 * 6 * 7


def test_convolutions_have_their_share(measuring: ModuleType) -> None:
    layer, x = nn.Conv2d(32, 32, 3), torch.randn(1, 32, 64, 64)
    assert measuring.convolution_share(lambda: layer(x)) > 0.5
    assert measuring.convolution_share(lambda: x + x) == 0


def test_tables_have_all_columns(measuring: ModuleType) -> None:
    rows = [{"what": "a", "n": 1}, {"what": "b", "s": {"median": 2.0, "q1": 1.0, "q3": 3.0}}]
    assert measuring.markdown_table(rows).splitlines() == [
        "| what | n | s |",
        "| --- | --- | --- |",
        "| a | 1 |  |",
        "| b |  | 2 (1 - 3) |",
    ]
