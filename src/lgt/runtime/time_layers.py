"""What time decides in a graph: scales and shifts, as constants or made from an input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lgt.runtime.style_layers import Weights

if TYPE_CHECKING:
    from lgt.runtime.graph import Graph

NOT_KNOWN = -1
"""Row of the null style."""

Vector = np.ndarray[Any, np.dtype[np.float32]]

Modulation = tuple[str, str]
"""Names of a scale and a shift, each `[1, C, 1, 1]`."""


class TimeLayers(Protocol):
    """A time, asked for what it makes of a GroupNorm."""

    def modulated(self, graph: Graph, key: str, *, is_encoder: bool) -> Modulation:
        """Return the scale and shift of a block's second norm.

        Args:
            graph: The graph.
            key: The block.
            is_encoder: Whether the source's style has a say.
        """
        ...


class FixedTime:
    """The time 0.

    Args:
        weights: Of the network.
        source: Style of the source, a row of the table; None: not known.
    """

    def __init__(self, weights: Weights, source: int | None) -> None:
        self.weights = weights
        half = weights["time_embedding.mlp.0.weight"].shape[1] // 2
        embedding = np.concatenate([np.zeros(half), np.ones(half)]).astype(np.float32)
        hidden = _linear(weights, "time_embedding.mlp.0", embedding)
        time = _linear(weights, "time_embedding.mlp.2", silu(hidden))
        both = {True: time + _source_row(weights, source), False: time}
        self.units = {key: silu(t) / math.sqrt(len(t)) for key, t in both.items()}

    def modulated(self, graph: Graph, key: str, *, is_encoder: bool) -> Modulation:
        """Return the scale and shift of a block's second norm."""
        made = _linear(self.weights, f"{key}.modulation", self.units[is_encoder])
        scale, shift = np.split(made, 2)
        own, offset = _norm(self.weights, key)
        moved = offset * (1 + scale) + shift
        return graph.channels(own * (1 + scale)), graph.channels(moved)


class GivenTime:
    """A time that is an input of the graph, a number.

    Args:
        graph: The graph.
        weights: Of the network.
        source: Style of the source, a row of the table; None: not known.
        time: Name of the input, in [0, 1].
    """

    def __init__(self, graph: Graph, weights: Weights, source: int | None, time: str) -> None:
        self.weights = weights
        half = weights["time_embedding.mlp.0.weight"].shape[1] // 2
        rates = 1000 * np.exp(-math.log(1e4) * np.arange(half, dtype=np.float32) / half)
        angles = graph.add("Mul", graph.constant(rates[None].astype(np.float32)), time)
        h = graph.add("Concat", graph.add("Sin", angles), graph.add("Cos", angles), axis=1)
        h = graph.silu(_layer(graph, weights, "time_embedding.mlp.0", h))
        h = _layer(graph, weights, "time_embedding.mlp.2", h)
        row = graph.constant(_source_row(weights, source)[None])
        unit = graph.constant(np.array((2 * half) ** -0.5, np.float32))
        both = {True: graph.add("Add", h, row), False: h}
        self.units = {key: graph.add("Mul", graph.silu(t), unit) for key, t in both.items()}

    def modulated(self, graph: Graph, key: str, *, is_encoder: bool) -> Modulation:
        """Return the scale and shift of a block's second norm."""
        made = _layer(graph, self.weights, f"{key}.modulation", self.units[is_encoder])
        made = graph.add("Reshape", made, graph.constant(np.array([1, -1, 1, 1], np.int64)))
        norm = _norm(self.weights, key)
        channels = len(norm[0])
        scale, shift = (graph.cut(made, 1, i * channels, (i + 1) * channels) for i in range(2))
        factor = graph.add("Add", scale, graph.constant(np.array(1, np.float32)))
        own, offset = (graph.channels(value) for value in norm)
        moved = graph.add("Add", graph.add("Mul", offset, factor), shift)
        return graph.add("Mul", own, factor), moved


def silu(x: Vector) -> Vector:
    """Return `x * sigmoid(x)`."""
    return np.asarray(x / (1 + np.exp(-x)))


def _source_row(weights: Weights, source: int | None) -> Vector:
    table = weights["source_style_embedding.table.weight"]
    return np.asarray(table[NOT_KNOWN if source is None else source])


def _norm(weights: Weights, key: str) -> tuple[Vector, Vector]:
    """Return the scale and shift of a block's second norm by itself, `[C]`."""
    return weights[f"{key}.norm_2.weight"], weights[f"{key}.norm_2.bias"]


def _linear(weights: Weights, key: str, x: Vector) -> Vector:
    return np.asarray(weights[f"{key}.weight"] @ x + weights[f"{key}.bias"])


def _layer(graph: Graph, weights: Weights, key: str, x: str) -> str:
    inputs = [graph.constant(weights[f"{key}.{part}"]) for part in ("weight", "bias")]
    return graph.add("Gemm", x, *inputs, transB=1)
