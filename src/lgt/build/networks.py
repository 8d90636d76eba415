"""Build the networks of a configuration: the velocity field, and what the energy looks with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import torch

from lgt.codec.spec import CodecSpec
from lgt.config.schema import Config
from lgt.device import works_in_bf16
from lgt.errors import InputError
from lgt.nn import LatentPerceptualNetwork, LGTUNet, load_perceptual_network
from lgt.nn.decoded import DecodedFeatures
from lgt.nn.learned_step import LearnedStep, load_learned_step

DECODED_SCALE = 8
"""Pixels of a decoded picture per latent position."""

PerceptualFeatures = LatentPerceptualNetwork | DecodedFeatures


def build_network(config: Config) -> LGTUNet:
    """Build the network with weights drawn from `training.seed`."""
    keys = config.model.model_dump()
    is_baseline = config.training.objective == "ot_cfm"
    if keys["style_injection"] == "auto":
        keys["style_injection"] = "adagn" if is_baseline else "dynamic_conv"
    if is_baseline:
        # x_t and x_0 together give the velocity away: (x_t - x_0) / t.
        keys["condition_on_source"] = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return LGTUNet(**keys)


def uses_features(config: Config) -> bool:
    """Tell whether the energy looks at features of a perceptual network."""
    loss, gains = config.loss, {**seen_gains(config), **collection_gains(config)}
    return any((loss.feature_gain, loss.critic_gain, *gains.values()))


def build_perceptual_network(
    config: Config, codec: CodecSpec | None, device: torch.device | str = "cpu"
) -> PerceptualFeatures | None:
    """Load what `loss.perceptual_network` names, frozen; None where the energy uses none.

    Args:
        config: The configuration.
        codec: What made the latents; None if that is not known.
        device: Where it works.

    Raises:
        InputError: The network can not be loaded, or is for latents of other channels.
    """
    loss = config.loss
    if not uses_features(config) or loss.perceptual_network == "none":
        return None
    if loss.perceptual_network == "decoded":
        return _decoded_features(config, codec, torch.device(device))
    if loss.perceptual_network == "auto":
        is_known = codec is not None and codec.is_stable_diffusion
        return load_perceptual_network().to(device) if is_known else None
    network = load_perceptual_network(Path(loss.perceptual_network))
    if network.latent_channels != config.model.latent_channels:
        raise InputError(
            f"loss.perceptual_network: {loss.perceptual_network} is for latents of "
            f"{network.latent_channels} channels, but model.latent_channels is "
            f"{config.model.latent_channels}; train one with scripts/train_perceptual.py, or set "
            "it to none"
        )
    return network.to(device)


def build_learned_step(config: Config, device: torch.device | str = "cpu") -> LearnedStep | None:
    """Load the learned step, frozen; None where the energy looks with other networks."""
    if config.loss.perceptual_network != "decoded":
        return None
    step = load_learned_step()
    is_known = sorted(config.loss.backbones) == sorted(step.backbones)
    return step.to(device, memory_format=torch.channels_last) if is_known else None  # type: ignore[call-overload]


def _decoded_features(
    config: Config, codec: CodecSpec | None, device: torch.device
) -> DecodedFeatures:
    """Decode with the codec inside this package, look with backbones of `lgt evaluate`."""
    from lgt.codec import DiffusersTinyCodec, load_codec
    from lgt.image.edges import edge_map, gradient_magnitude
    from lgt.image.grey import luminance, matched_luminance
    from lgt.nn.backbone import load_backbone

    if codec is None or not codec.is_stable_diffusion:
        name = "unknown" if codec is None else codec.name
        raise InputError(
            "loss.perceptual_network: decoded needs latents of the Stable Diffusion VAE or of the "
            f"codec inside this package (these are of: {name}); set it to none"
        )
    embedded = cast(DiffusersTinyCodec, load_codec("embedded"))
    return DecodedFeatures(
        embedded.decoder,
        [load_backbone(name) for name in config.loss.backbones],
        matched_luminance,
        edge_map,
        partial(gradient_magnitude, radius=1),
        luminance,
        is_reduced=works_in_bf16(config.training.mixed_precision, device),
    ).to(device)


def seen_gains(config: Config) -> dict[str, float]:
    """Return the factors of what a network sees of the photo in an output, by name in the log."""
    loss = config.loss
    return {
        "perceptual": loss.feature_content_gain,
        "edges": loss.edge_gain,
        "outlines": loss.outline_gain,
        "clutter": loss.clutter_gain,
    }


def collection_gains(config: Config) -> dict[str, float]:
    """Return the factors of the distances of collections, by name in the log."""
    loss = config.loss
    return {
        "collection": loss.collection_gain,
        "discriminant": loss.discriminant_gain,
        "recognition": loss.recognition_gain,
    }
