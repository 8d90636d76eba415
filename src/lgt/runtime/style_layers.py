"""What a style decides in a graph: kernels and offsets, as constants or made from an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from lgt.runtime.graph import Graph

TAPS = 9
"""Of a kernel of 3 x 3."""

Weights = dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]

Code = np.ndarray[Any, np.dtype[np.float32]]
"""What makes a style, or what is made of it: a list of numbers."""

Layer = tuple[str, str]
"""Names of a convolution's kernel and offset."""


class StyleLayers(Protocol):
    """A style, asked for its layers in their order."""

    def depthwise(self, graph: Graph, key: str) -> Layer:
        """Return the next layer, one kernel a channel, made by the hypernetwork `key`."""
        ...

    def head(self, graph: Graph, key: str, channels: int) -> tuple[Layer, Layer]:
        """Return the two layers at the end of the network."""
        ...


class FixedStyle:
    """A style's code, from which each layer in turn takes its parameters, as constants.

    Args:
        weights: Of the network.
        code: The embedding, and offsets of the parameters of all layers where it was added.
    """

    def __init__(self, weights: Weights, code: Code) -> None:
        length = embedding_length(weights)
        self.weights, self.offsets = weights, code[length:]
        self.unit = code[:length] / np.float32(length**0.5)

    def depthwise(self, graph: Graph, key: str) -> Layer:
        """Return the next layer, one kernel a channel, made by the hypernetwork `key`."""
        kernels = self._parameters(key).reshape(-1, TAPS + 1)
        kernels[:, TAPS // 2] += 1
        weight = graph.constant(kernels[:, :TAPS].reshape(-1, 1, 3, 3))
        return weight, graph.constant(kernels[:, TAPS])

    def head(self, graph: Graph, key: str, channels: int) -> tuple[Layer, Layer]:
        """Return the two layers at the end of the network."""
        made = self._parameters(key)
        first, second = _head_parts(made.size, channels)

        def layer(part: HeadPart) -> Layer:
            start, middle, end, shape = part
            kernel = graph.constant(made[start:middle].reshape(shape))
            return kernel, graph.constant(made[middle:end])

        return layer(first), layer(second)

    def _parameters(self, key: str) -> Code:
        made = self.weights[f"{key}.weight"] @ self.unit + self.weights[f"{key}.bias"]
        own, self.offsets = self.offsets[: made.size], self.offsets[made.size :]
        return np.asarray(made + own.reshape(made.shape) if own.size else made)


class GivenStyle:
    """A style that is an input of the graph, `[1, code_length(weights)]`: one graph for all.

    Args:
        graph: The graph.
        weights: Of the network.
        code: Name of the input.
    """

    def __init__(self, graph: Graph, weights: Weights, code: str) -> None:
        length = embedding_length(weights)
        self.weights, self.code, self.start = weights, code, length
        scale = graph.constant(np.array(length**-0.5, np.float32))
        self.unit = graph.add("Mul", graph.cut(code, 1, 0, length), scale)

    def depthwise(self, graph: Graph, key: str) -> Layer:
        """Return the next layer, one kernel a channel, made by the hypernetwork `key`."""
        made, _ = self._parameters(graph, key)
        rows = _reshaped(graph, made, (-1, TAPS + 1))
        identity = np.zeros((1, 1, 3, 3), np.float32)
        identity[0, 0, 1, 1] = 1
        kernel = _reshaped(graph, graph.cut(rows, 1, 0, TAPS), (-1, 1, 3, 3))
        offset = _reshaped(graph, graph.cut(rows, 1, TAPS, TAPS + 1), (-1,))
        return graph.add("Add", kernel, graph.constant(identity)), offset

    def head(self, graph: Graph, key: str, channels: int) -> tuple[Layer, Layer]:
        """Return the two layers at the end of the network."""
        made, size = self._parameters(graph, key)
        first, second = _head_parts(size, channels)

        def layer(part: HeadPart) -> Layer:
            start, middle, end, shape = part
            kernel = _reshaped(graph, graph.cut(made, 1, start, middle), shape)
            return kernel, _reshaped(graph, graph.cut(made, 1, middle, end), (-1,))

        return layer(first), layer(second)

    def _parameters(self, graph: Graph, key: str) -> tuple[str, int]:
        bias = self.weights[f"{key}.bias"]
        inputs = [graph.constant(value) for value in (self.weights[f"{key}.weight"], bias)]
        made = graph.add("Gemm", self.unit, *inputs, transB=1)
        own = graph.cut(self.code, 1, self.start, self.start + bias.size)
        self.start += bias.size
        return graph.add("Add", made, own), bias.size


HeadPart = tuple[int, int, int, tuple[int, int, int, int]]
"""Where a kernel starts, where its offset does, where that ends, and the kernel's shape."""


def _head_parts(size: int, channels: int) -> tuple[HeadPart, HeadPart]:
    """Return where the two layers of the head lie among its parameters."""
    hidden = (size - channels) // (2 * TAPS * channels + 1)
    middle = hidden * channels * TAPS
    end = middle + hidden
    last = end + channels * hidden * TAPS
    first = (0, middle, end, (hidden, channels, 3, 3))
    return first, (end, last, last + channels, (channels, hidden, 3, 3))


def _reshaped(graph: Graph, x: str, shape: tuple[int, ...]) -> str:
    return graph.add("Reshape", x, graph.constant(np.array(shape, np.int64)))


def embedding_length(weights: Weights) -> int:
    """Return how long the code of one of the network's own styles is."""
    return int(weights["style_embedding.table.weight"].shape[1])


def code_length(weights: Weights) -> int:
    """Return how long the code of an added style is, and of one that is an input of a graph."""
    made = sum(v.size for k, v in weights.items() if k.endswith("hypernetwork.bias"))
    return embedding_length(weights) + made


def sees_photo(weights: Weights) -> bool:
    """Tell whether the network looks at the source's latents beside the state."""
    return bool(weights["conv_in.weight"].shape[1] > weights["conv_out.weight"].shape[0])
