"""ONNX graphs of the codec and the network, for any size, from weights in numpy.

Where time and style are fixed, time scales, style kernels and offsets are constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lgt.codec.kernels import composed_offset, doubled, doubling_chain, halving_chain
from lgt.image.color import LUMA
from lgt.runtime.network import velocity_of
from lgt.runtime.style_layers import Code, Weights, code_length, sees_photo
from lgt.runtime.time_layers import Modulation

END = int(np.iinfo(np.int64).max)
"""End of a slice that takes all there is."""

MANY = 1000
"""Numbers of a constant that is large."""

CONV_DEFAULTS = {"dilations": [1, 1], "group": 1, "pads": [0] * 4, "strides": [1, 1]}
"""The defaults of ONNX, which ONNX Runtime on WebGPU does not know."""

LAST = "last"
"""Part that names the decoder's last layer: it does not bear integers."""

Shape = tuple[int | str, ...]
"""Without the batch of 1; empty: a number. A name stands for any size."""

LATENT: Shape = (4, "rows", "columns")
PICTURE: Shape = (3, "height", "width")
Inputs = dict[str, Shape]


class Graph:
    """Nodes and constants under construction; each method adds a layer and names its output.

    Args:
        weights: What layers are made of.
        is_half: Store large constants in 16 bits, for files of half the size; the graph computes
            in float32 all the same.
    """

    def __init__(self, weights: Weights, *, is_half: bool = False) -> None:
        self.weights, self.is_half = weights, is_half
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.part = ""
        """Prefix of the names of nodes."""

    def constant(self, value: Any) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        is_half = self.is_half and value.dtype == np.float32 and value.size >= MANY
        stored = np.ascontiguousarray(value, np.float16 if is_half else None)
        self.constants.append(numpy_helper.from_array(stored, name))
        return self.add("Cast", name, to=TensorProto.FLOAT) if is_half else name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node."""
        name = f"n{len(self.nodes)}"
        if op in ("Conv", "ConvTranspose"):
            attributes = CONV_DEFAULTS | attributes
        self.nodes.append(
            helper.make_node(op, list(inputs), [name], f"{self.part}.{op}.{name}", **attributes)
        )
        return name

    def conv(self, x: str, key: str, stride: int = 1, pad: int = 0) -> str:
        """Add the convolution stored under `key`."""
        inputs = [x, self.constant(self.weights[f"{key}.weight"])]
        if f"{key}.bias" in self.weights:
            inputs.append(self.constant(self.weights[f"{key}.bias"]))
        return self.add("Conv", *inputs, strides=[stride] * 2, pads=[pad] * 4)

    def pad_edge(self, x: str, top: int, left: int, bottom: int, right: int) -> str:
        """Repeat the border."""
        pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        return self.add("Pad", x, self.constant(pads), mode="edge")

    def edge_conv(self, x: str, key: str, stride: int = 1) -> str:
        """Add an `EdgeConv2d`."""
        return self.conv(self.pad_edge(x, 1, 1, 1, 1), key, stride)

    def silu(self, x: str) -> str:
        """Add SiLU."""
        return self.add("Mul", x, self.add("Sigmoid", x))

    def channels(self, value: Any) -> str:
        """Add a constant of one number a channel."""
        return self.constant(value.reshape(1, -1, 1, 1))

    def group_norm(self, x: str, key: str, modulation: Modulation | None = None) -> str:
        """Add a GroupNorm of 8 channels a group; `modulation` takes the place of its own."""
        groups = len(self.weights[f"{key}.weight"]) // 8
        ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
        h = self.add("Reshape", x, self.constant(np.array([1, groups, -1], np.int64)))
        h = self.add(
            "InstanceNormalization", h, self.constant(ones), self.constant(zeros), epsilon=1e-5
        )
        h = self.add("Reshape", h, self.add("Shape", x))
        if modulation is None:
            own = (self.weights[f"{key}.{part}"] for part in ("weight", "bias"))
            scale, shift = (self.channels(value) for value in own)
            modulation = scale, shift
        return self.add("Add", self.add("Mul", h, modulation[0]), modulation[1])

    def double_conv(self, x: str, key: str, *, edge: bool = False) -> str:
        """Add nearest enlargement by two and the 3 x 3 convolution after it, as one layer."""
        kernel = doubled(self.weights[f"{key}.weight"])
        inputs = [self.pad_edge(x, 1, 1, 1, 1) if edge else x]
        inputs.append(self.constant(kernel.transpose(1, 0, 2, 3).astype(np.float32)))
        if f"{key}.bias" in self.weights:
            inputs.append(self.constant(self.weights[f"{key}.bias"]))
        return self.add("ConvTranspose", *inputs, strides=[2, 2], pads=[3 if edge else 1] * 4)

    def pad_to_multiple(self, x: str, multiple: int) -> tuple[str, str]:
        """Repeat the last row and column until the sides divide; also return the sides before."""
        sides = self.add("Shape", x, start=2, end=4)
        missing = self.add("Mod", self.add("Neg", sides), self.constant(np.array([multiple])))
        blank = self.constant(np.zeros(6, np.int64))
        return self.add("Pad", x, self.add("Concat", blank, missing, axis=0), mode="edge"), sides

    def cut(self, x: str, axis: int, start: int, end: int) -> str:
        """Add a slice along one axis."""
        names = [self.constant(np.array([value], np.int64)) for value in (start, end, axis)]
        return self.add("Slice", x, *names)

    def first_layers(self, x: str, first: str, halving: Sequence[str]) -> str:
        """Add the encoder's first convolutions, all but one of which halve, as one.

        The zeros between them only touch the first row and column, which are computed apart.
        """
        w, factor = self.weights, 2 ** len(halving)
        kernel = halving_chain([w[f"{key}.weight"] for key in (first, *halving)])
        offset = w[f"{first}.bias"]
        for key in halving:
            offset = composed_offset(w[f"{key}.weight"], offset, None)
        reach = kernel.shape[-1] // 2
        inputs = [self.constant(v.astype(np.float32)) for v in (kernel, offset)]
        pads = [reach] * 2 + [reach + 1 - factor] * 2
        out = self.add("Conv", x, *inputs, strides=[factor] * 2, pads=pads)
        for axis in (3, 2):
            strip = self.conv(self.cut(x, axis, 0, 2 * factor), first, pad=1)
            for key in halving:
                strip = self.conv(strip, key, stride=2, pad=1)
            parts = [self.cut(strip, axis, 0, 1), self.cut(out, axis, 1, END)]
            out = self.add("Concat", *parts, axis=axis)
        return out

    def last_layers(self, x: str, doubling: Sequence[str], last: str) -> str:
        """Add the decoder's last convolutions, all but one of which double, as one of 3 x 3
        that gives the pixels of a cell at once; the outermost ones are computed apart."""
        w, factor = self.weights, 2 ** len(doubling)
        kernel = doubling_chain([w[f"{key}.weight"] for key in (*doubling, last)])
        offset = np.repeat(w[f"{last}.bias"], factor**2)
        inputs = [self.constant(v.astype(np.float32)) for v in (kernel, offset)]
        part, self.part = self.part, LAST
        out = self.add("Conv", x, *inputs, pads=[1] * 4)
        self.part = part
        out = self.add("DepthToSpace", out, blocksize=factor, mode="CRD")
        for axis in (3, 2):
            ends = []
            for (start, end), own in (((0, 2), (0, factor)), ((-2, END), (-factor, END))):
                strip = self.cut(x, axis, start, end)
                for key in doubling:
                    strip = self.double_conv(strip, key)
                ends.append(self.cut(self.conv(strip, last, pad=1), axis, *own))
            middle = self.cut(out, axis, factor, -factor)
            out = self.add("Concat", ends[0], middle, ends[1], axis=axis)
        return out

    def codec_half(self, x: str, side: str) -> str:
        """Add the encoder or decoder of the tiny autoencoder.

        Plain convolutions without offset halve the size (encoder) or follow a doubling (decoder).
        """
        start = f"{side}.layers."
        numbers = sorted({int(k.split(".")[2]) for k in self.weights if k.startswith(start)})
        keys = [f"{start}{i}" for i in numbers]
        is_plain = [f"{k}.weight" in self.weights and f"{k}.bias" not in self.weights for k in keys]
        if side == "encoder":
            count = is_plain.index(False, 1)
            x, keys = self.first_layers(x, keys[0], keys[1:count]), keys[count:]
        count = 1 + is_plain[-2::-1].index(False)
        last = keys[-count:] if side == "decoder" else []
        for key in keys[: len(keys) - len(last)]:
            if f"{key}.conv.0.weight" in self.weights:
                h = self.add("Relu", self.conv(x, f"{key}.conv.0", pad=1))
                h = self.add("Relu", self.conv(h, f"{key}.conv.2", pad=1))
                x = self.add("Relu", self.add("Add", self.conv(h, f"{key}.conv.4", pad=1), x))
            elif f"{key}.bias" in self.weights:
                x = self.conv(x, key, pad=1)
                if side == "decoder" and key == keys[0]:
                    x = self.add("Relu", x)
            elif side == "encoder":
                x = self.conv(x, key, stride=2, pad=1)
            else:
                x = self.double_conv(x, key)
        return self.last_layers(x, last[:-1], last[-1]) if last else x


def transfer_graph(
    network: Weights,
    codec: Weights,
    code: Code,
    source: int | None = None,
    size: tuple[int, int] | None = None,
    *,
    has_residual: bool = True,
) -> bytes:
    """Return the ONNX model `image, strength, residual -> picture`, `[1, 3, H, W]` in [0, 1].

    It is :func:`lgt.paint.compose.repaint`: s is the strength, d the residual's weight. Both
    decodes are one batch.

    Args:
        network: Weights of the velocity network, float32.
        codec: Weights of the tiny autoencoder, float32.
        code: See :func:`lgt.runtime.network.velocity_of`.
        source: See :func:`lgt.runtime.network.velocity_of`.
        size: H, W in pixels, multiples of 8; None: any.
        has_residual: Leave d and its decode out if false.
    """
    graph = Graph(codec)
    graph.part = "encoder"
    latent = graph.codec_half("image", "encoder")
    graph.weights, graph.part = network, "network"
    velocity = velocity_of(graph, latent, code, source, photo=latent)
    moved = graph.add("Add", latent, graph.add("Mul", velocity, "strength"))
    graph.weights, graph.part = codec, "decoder"
    if has_residual:
        picture = _with_residual(graph, moved, latent)
    else:
        picture = _decoded(graph, moved)
    numbers: Inputs = {"strength": (), "residual": ()} if has_residual else {"strength": ()}
    shape = (3, *size) if size else PICTURE
    return _model(graph, {"image": shape, **numbers}, picture, "picture", shape)


def encoder_graph(codec: Weights, *, is_half: bool = False) -> bytes:
    """Return the ONNX model `image -> latent` of any size; `is_half` as in :class:`Graph`."""
    graph = Graph(codec, is_half=is_half)
    graph.part = "encoder"
    latent = graph.codec_half("image", "encoder")
    return _model(graph, {"image": PICTURE}, latent, "latent", LATENT)


def velocity_graph(network: Weights, code: Code, source: int | None = None) -> bytes:
    """Return the ONNX model `latent, time -> velocity` of any size.

    It is :func:`lgt.runtime.network.velocity_of`; a network that looks at the source as well has an
    input `photo`.
    """
    graph = Graph(network)
    graph.part = "network"
    velocity = velocity_of(graph, "latent", code, source, photo="photo", time="time")
    inputs: Inputs = {"latent": LATENT, "time": ()}
    if sees_photo(network):
        inputs["photo"] = LATENT
    return _model(graph, inputs, velocity, "velocity", LATENT)


def styles_graph(network: Weights, *, is_half: bool = False) -> bytes:
    """Return the ONNX model `latent, code -> moved`, `x + v` at t = 0, for all styles and blends.

    The code is `[1, n]`, a style's with zeros behind it; `is_half` as in :class:`Graph`.
    """
    graph = Graph(network, is_half=is_half)
    graph.part = "network"
    moved = graph.add("Add", "latent", velocity_of(graph, "latent", "code", None, photo="latent"))
    inputs: Inputs = {"latent": LATENT, "code": (code_length(network),)}
    return _model(graph, inputs, moved, "moved", LATENT)


def decoder_graph(codec: Weights, *, is_half: bool = False) -> bytes:
    """Return the ONNX model `latent -> picture` of any size; `is_half` as in :class:`Graph`."""
    graph = Graph(codec, is_half=is_half)
    graph.part = "decoder"
    return _model(graph, {"latent": LATENT}, _decoded(graph, "latent"), "picture", PICTURE)


def _decoded(graph: Graph, latent: str) -> str:
    """Add the decoder, whose result is clipped."""
    three = graph.constant(np.array(3, np.float32))
    bounded = graph.add("Mul", graph.add("Tanh", graph.add("Div", latent, three)), three)
    return _clipped(graph, graph.codec_half(bounded, "decoder"))


def _clipped(graph: Graph, picture: str) -> str:
    low, high = (graph.constant(np.array(bound, np.float32)) for bound in (0, 1))
    return graph.add("Clip", picture, low, high)


def _with_residual(graph: Graph, moved: str, latent: str) -> str:
    """Add the decoder, and the share of what it loses of `image`."""
    both = _decoded(graph, graph.add("Concat", moved, latent, axis=0))
    painted, seen = (graph.cut(both, 0, index, index + 1) for index in (0, 1))
    lost = graph.add("Sub", "image", seen)
    weighted = graph.add(
        "Mul", lost, graph.constant(np.array(LUMA, np.float32).reshape(1, 3, 1, 1))
    )
    brightness = graph.add("ReduceSum", weighted, graph.constant(np.array([1], np.int64)))
    color = graph.add("Sub", graph.constant(np.array(1, np.float32)), "strength")
    rest = graph.add("Sub", "residual", color)
    out = graph.add("Add", painted, graph.add("Mul", lost, color))
    return _clipped(graph, graph.add("Add", out, graph.add("Mul", brightness, rest)))


def _model(graph: Graph, inputs: Inputs, result: str, name: str, shape: Shape) -> bytes:
    def value(key: str, sides: Shape) -> Any:
        return helper.make_tensor_value_info(key, TensorProto.FLOAT, [1, *sides] if sides else [])

    graph.nodes.append(helper.make_node("Identity", [result], [name]))
    made = helper.make_graph(
        graph.nodes,
        name,
        [value(key, sides) for key, sides in inputs.items()],
        [value(name, shape)],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
