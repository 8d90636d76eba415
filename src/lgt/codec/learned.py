"""Learned codecs: what all share, and the adapter of the tiny autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lgt.codec.fold import merged_decoder, merged_encoder
from lgt.codec.spec import CodecSpec, check_images, check_latents
from lgt.files import weights_fingerprint


def fingerprint(model: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 of all weights as float32, independent of the device."""
    weights = sorted(model.state_dict().items())
    return weights_fingerprint(
        (key, value.detach().float().cpu().contiguous().numpy()) for key, value in weights
    )


class LearnedCodec:
    """What the adapters share; weights are frozen, gradients flow through to the input."""

    spec: CodecSpec

    def __init__(self, model: Any, *, name: str, source: str, downscale: int) -> None:
        config: Mapping[str, Any] = model.config
        self.spec = CodecSpec(
            name=name,
            source=source,
            latent_channels=int(config["latent_channels"]),
            downscale=downscale,
            scaling_factor=float(config.get("scaling_factor") or 1.0),
            shift_factor=float(config.get("shift_factor") or 0.0),
            fingerprint=fingerprint(model),
        )
        self.model = model.eval().requires_grad_(False)
        self.to("cpu", torch.float32)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Any:
        """Move the weights and set the format they compute in; return the codec."""
        # Not `model.to`: diffusers overrides it and logs a warning on every change of the dtype.
        module_to: Any = nn.Module.to
        module_to(self.model, device=device, dtype=dtype, memory_format=torch.channels_last)
        return self

    def encode(self, images: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` in [0, 1] to raw latents `[B, C, H/f, W/f]`, float32."""
        check_images(images, self.spec)
        return self._encode(self._cast(images.float() * 2 - 1)).float()

    def decode(self, raw_latents: Tensor) -> Tensor:
        """Map raw latents to images `[B, 3, H, W]` in [0, 1], float32."""
        check_latents(raw_latents, self.spec)
        images = self._decode(self._cast(raw_latents))
        return images.float().add(1).div(2).clamp(0, 1)

    def _encode(self, images: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _encode")

    def _decode(self, latents: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _decode")

    def _cast(self, values: Tensor) -> Tensor:
        parameter = next(self.model.parameters())
        return values.to(parameter.device, parameter.dtype, memory_format=torch.channels_last)


class TinyCodec(LearnedCodec):
    """A distilled deterministic autoencoder (the embedded one, TAESD).

    Its latents are already scaled as its parent model's, so the scaling factor is usually 1.

    Args:
        model: A `TinyAutoencoder` with its weights, or a `diffusers.AutoencoderTiny`.
        name: Short name for people.
        source: What to give `load_codec` to get it again.
    """

    def __init__(self, model: Any, *, name: str, source: str) -> None:
        downscale = 2 ** (len(model.config["encoder_block_out_channels"]) - 1)
        self._encoder, self._decoder = merged_encoder(model.encoder), merged_decoder(model.decoder)
        super().__init__(model, name=name, source=source, downscale=downscale)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Any:
        """Move the weights and set the format they compute in; return the codec."""
        for half in (self._encoder, self._decoder):
            half.to(device=device, dtype=dtype, memory_format=torch.channels_last)
        return super().to(device, dtype)

    @property
    def decoder(self) -> nn.Module:
        """The decoder alone, for gradients: scaled latents to pictures in [-1, 1], not clipped."""
        decoder: nn.Module = self._decoder
        return decoder

    def _encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self._encoder(images)
        return latents

    def _decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self._decoder(latents)
        return images
