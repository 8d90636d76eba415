"""The network: `LGTUNet` and its parts."""

from __future__ import annotations

from lgt.nn.blocks import AdaGNBlock, EncoderBlock, StyleBlock
from lgt.nn.embeddings import NULL_STYLE, StyleEmbedding, TimeEmbedding
from lgt.nn.perceptual import FeatureMaps, LatentPerceptualNetwork, load_perceptual_network
from lgt.nn.style_conv import StyleDynamicConv
from lgt.nn.unet import Condition, LGTUNet

__all__ = [
    "NULL_STYLE",
    "AdaGNBlock",
    "Condition",
    "EncoderBlock",
    "FeatureMaps",
    "LGTUNet",
    "LatentPerceptualNetwork",
    "StyleBlock",
    "StyleDynamicConv",
    "StyleEmbedding",
    "TimeEmbedding",
    "load_perceptual_network",
]
