"""The velocity network in a graph, layer by layer as :class:`lgt.nn.unet.LGTUNet` has them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from lgt.runtime.style_layers import (
    TAPS,
    Code,
    FixedStyle,
    GivenStyle,
    StyleLayers,
    sees_photo,
)
from lgt.runtime.time_layers import FixedTime, GivenTime, TimeLayers

if TYPE_CHECKING:
    from lgt.runtime.graph import Graph


def velocity_of(
    graph: Graph,
    x: str,
    code: Code | str,
    source: int | None,
    *,
    photo: str,
    time: str | None = None,
) -> str:
    """Add the network for one style.

    Args:
        x: State `[1, C, h, w]`.
        code: Of the style: its embedding, and offsets of the style parameters of all decoder
            blocks where it was added. Or the name of an input that holds it.
        source: Style of the source, a row of the table; None: not known.
        photo: Scaled latents of the source, which not every network looks at.
        time: Name of an input that holds the time; None: 0.
    """
    w = graph.weights
    style: StyleLayers
    style = GivenStyle(graph, w, code) if isinstance(code, str) else FixedStyle(w, code)
    count = sum(k.startswith("downs.") and k.endswith(".weight") for k in w)
    seen = graph.add("Concat", x, photo, axis=1) if sees_photo(w) else x
    h, sides = graph.pad_to_multiple(seen, 2**count)
    times: TimeLayers
    times = FixedTime(w, source) if time is None else GivenTime(graph, w, source, time)

    def block(h: str, key: str, *, is_encoder: bool = False) -> str:
        y = graph.edge_conv(graph.silu(graph.group_norm(h, f"{key}.norm_1")), f"{key}.conv_1")
        modulation = times.modulated(graph, key, is_encoder=is_encoder)
        y = graph.group_norm(y, f"{key}.norm_2", modulation)
        hyper = f"{key}.style_conv.hypernetwork"
        if f"{hyper}.weight" in w:
            kernel, offset = style.depthwise(graph, hyper)
            groups = w[f"{hyper}.bias"].size // (TAPS + 1)
            y = graph.add("Conv", graph.pad_edge(y, 1, 1, 1, 1), kernel, offset, group=groups)
        return graph.add("Add", h, graph.edge_conv(graph.silu(y), f"{key}.conv_2"))

    def blocks(h: str, key: str) -> str:
        for j in itertools.takewhile(lambda j: f"{key}.{j}.conv_1.weight" in w, itertools.count()):
            h = block(h, f"{key}.{j}")
        return h

    h = graph.edge_conv(h, "conv_in")
    skips = []
    for i in range(count):
        h = block(h, f"encoder.{i}", is_encoder=True)
        skips.append(h)
        h = graph.edge_conv(h, f"downs.{i}", stride=2)
    h = block(h, "bottleneck", is_encoder=True)
    for level in range(count + 1):
        if level:
            h = graph.double_conv(h, f"ups.{level - 1}", edge=True)
            h = graph.add("Add", h, skips.pop())
        h = blocks(h, f"decoder.{level}")
    h = graph.silu(graph.group_norm(h, "norm_out"))
    h = graph.edge_conv(h, "conv_out")
    starts, axes = (graph.constant(np.array(v, np.int64)) for v in ([0, 0], [2, 3]))
    h = graph.add("Slice", h, starts, sides, axes)
    if "head.hypernetwork.weight" in w:
        h = _with_head(graph, x, h, style)
    if "corrector.conv_in.weight" not in w:
        return h
    y = graph.add("Concat", x, graph.add("Add", x, h), axis=1)
    y = graph.edge_conv(y, "corrector.conv_in")
    y = blocks(y, "corrector.blocks")
    y = graph.silu(graph.group_norm(y, "corrector.norm_out"))
    return graph.add("Add", h, graph.edge_conv(y, "corrector.conv_out"))


def _with_head(graph: Graph, x: str, velocity: str, style: StyleLayers) -> str:
    first, second = style.head(graph, "head.hypernetwork", graph.weights["conv_out.bias"].size)
    h = graph.add("Add", x, velocity)
    h = graph.silu(graph.add("Conv", graph.pad_edge(h, 1, 1, 1, 1), *first))
    h = graph.add("Conv", graph.pad_edge(h, 1, 1, 1, 1), *second)
    return graph.add("Add", velocity, h)
