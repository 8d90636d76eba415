"""Faster codecs: layers with nothing non-linear between them become one, with the same result."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgt.codec.kernels import composed, composed_offset, doubled, doubled_pair

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
    """Return an `EncoderTiny` with convolutions that follow each other, the second one halving, in
    one layer where that takes fewer products; all other layers are those of `encoder`.
    """
    layers: list[Any] = list(encoder.layers)
    merged: list[nn.Module] = []
    while layers:
        layer = layers.pop(0)
        is_pair = layers and _is_plain(layer) and _is_plain(layers[0], stride=2)
        if is_pair and HalvingPair.saves(layer, layers[0]):
            layer = HalvingPair(layer, layers.pop(0))
        merged.append(layer)
    return _with_layers(encoder, merged)


def merged_decoder(decoder: Any) -> Any:
    """Return a `DecoderTiny` as :func:`folded_decoder` does, with a further convolution that
    follows an enlargement's own in the same layer where that takes fewer products.
    """
    layers: list[Any] = list(decoder.layers)
    merged: list[nn.Module] = []
    while layers:
        layer = layers.pop(0)
        is_pair = len(layers) > 1 and _is_doubling(layer) and all(map(_is_plain, layers[:2]))
        if is_pair and DoublingPair.saves(*layers[:2]):
            layer = DoublingPair(layers.pop(0), layers.pop(0))
        merged.append(layer)
    return folded_decoder(_with_layers(decoder, merged))


class _Pair(nn.Module):
    """Two convolutions of 3 x 3 as one.

    Between them lie only the zeros around the first one's result. These touch nothing but the
    outermost pixels, which are computed layer by layer, from strips.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation = (1, 1)

    def __init__(self, first: Any, second: nn.Conv2d, kernel: Array, offset: Array) -> None:
        super().__init__()
        self.first: Any = first
        self.second: Any = second
        weight = second.weight
        self.weight = nn.Parameter(torch.from_numpy(kernel).to(weight), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(offset).to(weight), requires_grad=False)


class HalvingPair(_Pair):
    """A convolution and one of stride 2 as one of 5 x 5."""

    kernel_size, stride = (5, 5), (2, 2)

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        kernels, offsets = _numbers(first, second)
        super().__init__(first, second, composed(*kernels), composed_offset(kernels[1], *offsets))

    @staticmethod
    def saves(first: nn.Conv2d, second: nn.Conv2d) -> bool:
        """Tell whether it takes fewer products, counted for a pixel of the result."""
        c_in, c_mid, c_out = first.in_channels, first.out_channels, second.out_channels
        return 25 * c_in * c_out < 9 * c_mid * (4 * c_in + c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]`, sides even, to half the sides."""
        out = F.conv2d(x, self.weight, self.bias, stride=2, padding=2)
        out[..., :1] = self._apart(x[..., :4])[..., :1]
        out[..., :1, :] = self._apart(x[..., :4, :])[..., :1, :]
        return out

    def _apart(self, x: Tensor) -> Tensor:
        # Not by the layers: what listens to them (`lgt.codec.tiles.reach`) would count both.
        h = F.conv2d(x, self.first.weight, self.first.bias, padding=1)
        return F.conv2d(h, self.second.weight, self.second.bias, stride=2, padding=1)


class DoublingPair(_Pair):
    """Enlargement by two and two convolutions as one of 3 x 3, for four pixels at once."""

    kernel_size, stride = (3, 3), (1, 1)

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        kernels, offsets = _numbers(first, second)
        offset = composed_offset(kernels[1], *offsets).repeat(4)
        super().__init__(_doubled_conv(first), second, doubled_pair(*kernels), offset)

    @staticmethod
    def saves(first: nn.Conv2d, second: nn.Conv2d) -> bool:
        """Tell whether it takes fewer products, counted for a pixel of the input."""
        c_in, c_mid, c_out = first.in_channels, first.out_channels, second.out_channels
        return 36 * c_in * c_out < c_mid * (16 * c_in + 36 * c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to twice the sides."""
        out = F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, padding=1), 2)
        out[..., :1] = self._apart(x[..., :2])[..., :1]
        out[..., -1:] = self._apart(x[..., -2:])[..., -1:]
        out[..., :1, :] = self._apart(x[..., :2, :])[..., :1, :]
        out[..., -1:, :] = self._apart(x[..., -2:, :])[..., -1:, :]
        return out

    def _apart(self, x: Tensor) -> Tensor:
        h = F.conv_transpose2d(x, self.first.weight, self.first.bias, stride=2, padding=1)
        return F.conv2d(h, self.second.weight, self.second.bias, padding=1)


def _with_layers(half: Any, layers: list[nn.Module]) -> Any:
    """Return a half of the codec that shares all with `half` but its list of layers."""
    result = copy.copy(half)
    result._modules = {**half._modules, "layers": nn.Sequential(*layers)}
    return result


def _is_doubling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample) and layer.mode == "nearest" and layer.scale_factor == 2


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


def _numbers(first: nn.Conv2d, second: nn.Conv2d) -> tuple[list[Array], list[Array | None]]:
    """Return the kernels and the offsets of both."""
    offsets = [None if c.bias is None else _array(c.bias) for c in (first, second)]
    return [_array(c.weight) for c in (first, second)], offsets


def _array(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()
