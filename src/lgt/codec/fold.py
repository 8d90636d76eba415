"""Faster codecs: layers with nothing non-linear between them become one, with the same result."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgt.codec.kernels import composed_offset, doubled, doubling_chain, halving_chain

Array = np.ndarray[Any, Any]


def folded_decoder(decoder: Any) -> Any:
    """Return a `DecoderTiny` with every enlargement and the convolution after it in one layer.

    All other layers are those of `decoder`.
    """
    layers: list[Any] = list(decoder.layers)
    folded: list[nn.Module] = []
    while layers:
        layer = layers.pop(0)
        if layers and _is_doubling(layer) and _is_plain(layers[0]):
            layer = _doubled_conv(layers.pop(0))
        folded.append(layer)
    return _with_layers(decoder, folded)


def merged_encoder(encoder: Any) -> Any:
    """Return an `EncoderTiny` with convolutions that follow each other, all but the first one
    halving, in one layer where that takes fewer products; other layers are those of `encoder`.
    """
    layers: list[Any] = list(encoder.layers)
    merged: list[nn.Module] = []
    while layers:
        chain = [layers.pop(0)]
        if _is_plain(chain[0]):
            while layers and _is_plain(layers[0], stride=2):
                chain.append(layers.pop(0))
        if len(chain) > 1 and HalvingChain.saves(chain):
            chain = [HalvingChain(chain)]
        merged += chain
    return _with_layers(encoder, merged)


def merged_decoder(decoder: Any) -> Any:
    """Return a `DecoderTiny` as :func:`folded_decoder` does, with a further convolution that
    follows enlargements, each with its own, in the same layer where that takes fewer products.
    """
    layers: list[Any] = list(decoder.layers)
    merged: list[nn.Module] = []
    while layers:
        count = 0
        while len(layers) > 2 * count + 1 and _is_doubled(layers[2 * count :]):
            count += 1
        rest = layers[2 * count :]
        if count and rest and _is_plain(rest[0]):
            chain = [*layers[1 : 2 * count : 2], rest[0]]
            if DoublingChain.saves(chain):
                merged.append(DoublingChain(chain))
                layers = rest[1:]
                continue
        merged.append(layers.pop(0))
    return folded_decoder(_with_layers(decoder, merged))


class _Chain(nn.Module):
    """Convolutions of 3 x 3 as one.

    Between them lie only the zeros around each one's result. These touch nothing but the outermost
    pixels, which are computed layer by layer, from strips.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation = (1, 1)

    def __init__(self, layers: Sequence[Any], kernel: Array, offset: Array) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(layers)
        weight = layers[-1].weight
        self.weight = nn.Parameter(torch.from_numpy(kernel).to(weight), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(offset).to(weight), requires_grad=False)


class HalvingChain(_Chain):
    """A convolution and further ones of stride 2 as one."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        kernel = halving_chain([_array(layer.weight) for layer in layers])
        self.factor = 2 ** (len(layers) - 1)
        self.kernel_size, self.stride = (kernel.shape[-1],) * 2, (self.factor,) * 2
        super().__init__(layers, kernel, _offset(layers))

    @staticmethod
    def saves(layers: Sequence[nn.Conv2d]) -> bool:
        """Tell whether it takes fewer products, counted for a pixel of the result."""
        apart, positions = 0, int(4 ** (len(layers) - 1))
        for index, layer in enumerate(layers):
            apart += 9 * layer.in_channels * layer.out_channels * positions // 4**index
        side = 1 + 2 ** len(layers)
        return bool(side**2 * layers[0].in_channels * layers[-1].out_channels < apart)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]`, sides multiples of the factor, to as many times smaller ones."""
        out = F.conv2d(x, self.weight, self.bias, self.factor, self.kernel_size[0] // 2)
        near = 2 * self.factor
        out[..., :1] = self._apart(x[..., :near])[..., :1]
        out[..., :1, :] = self._apart(x[..., :near, :])[..., :1, :]
        return out

    def _apart(self, x: Tensor) -> Tensor:
        # Not by the layers: what listens to them (`lgt.codec.tiles.reach`) would count both.
        for layer in self.layers:
            x = F.conv2d(x, layer.weight, layer.bias, layer.stride, padding=1)
        return x


class DoublingChain(_Chain):
    """Convolutions, an enlargement by two before all but the last, as one of 3 x 3 that gives all
    the pixels which one becomes.
    """

    kernel_size, stride = (3, 3), (1, 1)

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        kernel = doubling_chain([_array(layer.weight) for layer in layers])
        self.factor = 2 ** (len(layers) - 1)
        offset = _offset(layers).repeat(self.factor**2)
        super().__init__([*map(_doubled_conv, layers[:-1]), layers[-1]], kernel, offset)

    @staticmethod
    def saves(layers: Sequence[nn.Conv2d]) -> bool:
        """Tell whether it takes fewer products, counted for a pixel of the input."""
        *doubling, last = layers
        apart = 9 * last.in_channels * last.out_channels * 4 ** len(doubling)
        for index, layer in enumerate(doubling):
            apart += 16 * layer.in_channels * layer.out_channels * 4**index
        return bool(9 * layers[0].in_channels * last.out_channels * 4 ** len(doubling) < apart)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to as many times larger sides as the factor says."""
        f = self.factor
        out = F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, padding=1), f)
        out[..., :f] = self._apart(x[..., :2])[..., :f]
        out[..., -f:] = self._apart(x[..., -2:])[..., -f:]
        out[..., :f, :] = self._apart(x[..., :2, :])[..., :f, :]
        out[..., -f:, :] = self._apart(x[..., -2:, :])[..., -f:, :]
        return out

    def _apart(self, x: Tensor) -> Tensor:
        *doubling, last = self.layers
        for layer in doubling:
            x = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)
        return F.conv2d(x, last.weight, last.bias, padding=1)


def _with_layers(half: Any, layers: list[nn.Module]) -> Any:
    """Return a half of the codec that shares all with `half` but its list of layers."""
    result = copy.copy(half)
    result._modules = {**half._modules, "layers": nn.Sequential(*layers)}
    return result


def _is_doubling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample) and layer.mode == "nearest" and layer.scale_factor == 2


def _is_doubled(layers: Sequence[nn.Module]) -> bool:
    """Tell whether an enlargement and a convolution come first."""
    return _is_doubling(layers[0]) and _is_plain(layers[1])


def _is_plain(layer: nn.Module, stride: int = 1) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (3, 3)
        and layer.padding == (1, 1)
        and layer.stride == (stride, stride)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
    )


def _doubled_conv(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """Return enlargement by two and a convolution as one transposed convolution."""
    has_bias = conv.bias is not None
    layer = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, bias=has_bias
    )
    kernel = np.ascontiguousarray(doubled(_array(conv.weight)).transpose(1, 0, 2, 3))
    layer.weight = nn.Parameter(torch.from_numpy(kernel).to(conv.weight), requires_grad=False)
    if conv.bias is not None:
        layer.bias = nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
    return layer


def _offset(layers: Sequence[nn.Conv2d]) -> Array:
    """Return the offset of one convolution after another."""
    offsets = [None if layer.bias is None else _array(layer.bias) for layer in layers]
    result = offsets[0]
    for layer, own in zip(layers[1:], offsets[1:], strict=True):
        result = composed_offset(_array(layer.weight), result, own)
    return np.zeros(layers[0].out_channels) if result is None else result


def _array(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()
