"""Learned codecs: thin adapters over the autoencoders of diffusers."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from lgt.codec.fold import folded_decoder
from lgt.codec.spec import (
    CodecSourceError,
    CodecSpec,
    LatentCodec,
    check_images,
    check_latents,
)
from lgt.errors import CodecError


def fingerprint(model: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 of all weights as float32, independent of the device."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class _DiffusersCodec:
    """What both adapters share; weights are frozen, gradients flow through to the input."""

    spec: CodecSpec

    def __init__(self, model: Any, *, name: str, source: str, downscale: int) -> None:
        config = model.config
        self.spec = CodecSpec(
            name=name,
            source=source,
            latent_channels=int(config.latent_channels),
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
        images: Tensor = self.model.decode(latents).sample
        return images

    def _cast(self, values: Tensor) -> Tensor:
        parameter = next(self.model.parameters())
        return values.to(parameter.device, parameter.dtype, memory_format=torch.channels_last)


class DiffusersKLCodec(_DiffusersCodec):
    """A variational autoencoder (`AutoencoderKL`); the latent is the posterior mean.

    Args:
        model: The loaded `diffusers.AutoencoderKL`.
        name: Short name for people.
        source: What to give `load_codec` to get it again.
    """

    def __init__(self, model: Any, *, name: str, source: str) -> None:
        downscale = 2 ** (len(model.config.block_out_channels) - 1)
        super().__init__(model, name=name, source=source, downscale=downscale)

    def _encode(self, images: Tensor) -> Tensor:
        mean: Tensor = self.model.encode(images).latent_dist.mean
        return mean


class DiffusersTinyCodec(_DiffusersCodec):
    """A distilled deterministic autoencoder (`AutoencoderTiny`, TAESD).

    Its latents are already scaled as its parent model's, so the scaling factor is usually 1.

    Args:
        model: The loaded `diffusers.AutoencoderTiny`.
        name: Short name for people.
        source: What to give `load_codec` to get it again.
    """

    def __init__(self, model: Any, *, name: str, source: str) -> None:
        downscale = 2 ** (len(model.config.encoder_block_out_channels) - 1)
        self._decoder = folded_decoder(model.decoder).eval().requires_grad_(False)
        super().__init__(model, name=name, source=source, downscale=downscale)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Any:
        """Move the weights and set the format they compute in; return the codec."""
        self._decoder.to(device=device, dtype=dtype, memory_format=torch.channels_last)
        return super().to(device, dtype)

    @property
    def decoder(self) -> nn.Module:
        """The decoder alone: scaled latents to pictures in [-1, 1]."""
        decoder: nn.Module = self._decoder
        return decoder

    def _encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self.model.encode(images).latents
        return latents

    def _decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self._decoder(latents)
        return images


def from_pretrained(
    class_name: str, location: str, source: str, name: str, **options: Any
) -> LatentCodec:
    """Load an autoencoder that diffusers can load, and wrap it.

    Args:
        class_name: `AutoencoderKL` or `AutoencoderTiny`.
        location: Hub id or folder.
        source: What the user named, for messages and the spec.
        name: Short name for people.
        options: Passed on to diffusers.

    Raises:
        CodecError: Another class, or weights that are incomplete or damaged.
    """
    require_diffusers(source)
    if class_name not in ("AutoencoderKL", "AutoencoderTiny"):
        raise CodecSourceError(
            f"codec '{source}': is a {class_name}; only AutoencoderKL and AutoencoderTiny of "
            "diffusers are supported"
        )
    import diffusers

    try:
        model, info = getattr(diffusers, class_name).from_pretrained(
            location, torch_dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:  # the libraries below raise many kinds; all mean: not loadable
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CodecError(
            f"codec '{source}': the weights can not be loaded ({detail}); check that the download "
            "is complete"
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise CodecError(
            f"codec '{source}': the weights do not fit config.json: {len(missing)} tensors are "
            f"missing, such as {missing[0]}; check that both are of the same model"
        )
    if class_name == "AutoencoderKL":
        return DiffusersKLCodec(model, name=name, source=source)
    return DiffusersTinyCodec(model, name=name, source=source)


def require_diffusers(source: str) -> None:
    """Raise a CodecError with advice where diffusers is not installed."""
    try:
        import diffusers  # noqa: F401
    except ImportError:
        raise CodecError(
            f"codec '{source}': needs the package diffusers; install it with "
            "`pip install diffusers`, or use the codec 'dct'"
        ) from None
