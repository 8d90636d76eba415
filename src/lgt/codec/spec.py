"""What a latent codec is, and the step from raw to scaled latents.

A raw latent is the codec's posterior mean, as files store it. A scaled latent is
`(raw - shift_factor) * scaling_factor`: about unit variance, what the network and energies see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lgt.damage import count_of, mapping_of, number_of, text_of
from lgt.device import available_device
from lgt.errors import CodecError, InputError

_MAX_CHANNELS, _MAX_DOWNSCALE = 4096, 256
"""Far beyond any codec: numbers of a damaged file."""


class CodecSourceError(CodecError, InputError):
    """The text or the folder that names a codec is not usable."""


@dataclass(frozen=True)
class CodecSpec:
    """Identity and numbers of a codec."""

    name: str
    """Short name for people, such as `taesd` or `dct:4`."""
    source: str
    """What to give `load_codec` to get this codec again."""
    latent_channels: int
    """Channels of a latent."""
    downscale: int = 8
    """Image pixels per latent pixel, along each axis."""
    scaling_factor: float = 1.0
    """Factor from shifted raw latents to scaled ones."""
    shift_factor: float = 0.0
    """Subtracted from raw latents before the factor."""
    fingerprint: str = ""
    """Short SHA-256 of the weights; equal fingerprints mean equal latents."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CodecSpec:
        """Read back what :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            InputError: A key is missing.
            TypeError: A value is not usable.
        """
        values = mapping_of(values, "codec description")
        known = {f.name for f in fields(cls)}
        missing = {"name", "source", "latent_channels"} - set(values)
        if missing:
            raise InputError(f"codec description: missing {', '.join(sorted(missing))}")
        values = {key: value for key, value in values.items() if key in known}
        return cls(
            name=text_of(values, "name"),
            source=text_of(values, "source"),
            latent_channels=count_of(values, "latent_channels", 1, _MAX_CHANNELS),
            downscale=count_of(values, "downscale", 1, _MAX_DOWNSCALE, cls.downscale),
            scaling_factor=number_of(values, "scaling_factor", 1e-6, 1e6, cls.scaling_factor),
            shift_factor=number_of(values, "shift_factor", -1e6, 1e6, cls.shift_factor),
            fingerprint=text_of(values, "fingerprint", cls.fingerprint),
        )

    def is_compatible(self, other: CodecSpec) -> bool:
        """Tell whether both give the same latents, wherever their weights lie."""
        return self._numbers() == other._numbers()

    @property
    def is_stable_diffusion(self) -> bool:
        """Whether scaled latents are those of Stable Diffusion 1 and 2 (not XL), or close to them.

        Told from the numbers and the name: tiny autoencoders give scaled latents directly.
        """
        is_shape = (self.latent_channels, self.downscale) == (4, 8)
        is_scale = any(abs(self.scaling_factor - factor) < 1e-4 for factor in (0.18215, 1.0))
        name = self.name.lower()
        return is_shape and is_scale and not name.startswith("dct") and "xl" not in name

    def _numbers(self) -> tuple[object, ...]:
        return (
            self.latent_channels,
            self.downscale,
            self.scaling_factor,
            self.shift_factor,
            self.fingerprint,
        )


@runtime_checkable
class LatentCodec(Protocol):
    """Maps images to latents of 1 / `spec.downscale` the size, and back."""

    spec: CodecSpec

    def encode(self, images: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` in [0, 1] to raw latents `[B, C, H/f, W/f]`, float32."""
        ...

    def decode(self, raw_latents: Tensor) -> Tensor:
        """Map raw latents to images `[B, 3, H, W]` in [0, 1], float32."""
        ...

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LatentCodec:
        """Move the weights and set the format they compute in; return the codec."""
        ...


def scale_latents(raw: Tensor, spec: CodecSpec) -> Tensor:
    """Return `(raw - shift_factor) * scaling_factor`."""
    return (raw - spec.shift_factor) * spec.scaling_factor


def unscale_latents(scaled: Tensor, spec: CodecSpec) -> Tensor:
    """Return `scaled / scaling_factor + shift_factor`."""
    return scaled / spec.scaling_factor + spec.shift_factor


def check_images(images: Tensor, spec: CodecSpec) -> None:
    """Refuse what a codec can not encode.

    Raises:
        InputError: Not `[B, 3, H, W]`, or H or W is not a multiple of the codec's downscale.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        hint = "; add the batch axis with image.unsqueeze(0)" if images.ndim == 3 else ""
        raise InputError(f"images must be [B, 3, H, W], got shape {list(images.shape)}{hint}")
    height, width = images.shape[-2:]
    if height % spec.downscale or width % spec.downscale or height == 0 or width == 0:
        raise InputError(
            f"image of {width} x {height} pixels: codec {spec.name} needs both sides to be "
            f"multiples of {spec.downscale}; pad, crop or resize it first"
        )


def check_latents(latents: Tensor, spec: CodecSpec) -> None:
    """Refuse what a codec can not decode.

    Raises:
        InputError: Not `[B, C, h, w]` with the codec's number of channels.
    """
    if latents.ndim != 4 or latents.shape[1] != spec.latent_channels:
        raise InputError(
            f"latents must be [B, {spec.latent_channels}, h, w] for codec {spec.name}, got shape "
            f"{list(latents.shape)}"
        )


def encode_image(vae: LatentCodec, image: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Encode images to the scaled latents that `LGTInference` takes.

    Args:
        vae: The codec.
        image: `[B, 3, H, W]`, RGB in [0, 1].
        device: Where the result goes; an absent one gives a warning and the CPU.

    Raises:
        InputError: Not a tensor of that shape, or values outside [-0.01, 1.01].
    """
    if not isinstance(image, Tensor):
        raise InputError(
            f"encode_image takes a tensor [B, 3, H, W] in [0, 1], got {type(image).__name__}; "
            "call preprocess(image) first"
        )
    check_images(image, vae.spec)
    if not image.is_floating_point():
        raise InputError(f"image has dtype {image.dtype}; give floats in [0, 1]: image / 255")
    low, high = (float(bound) for bound in image.detach().aminmax()) if image.numel() else (0, 0)
    if not (low >= -0.01 and high <= 1.01):
        hint = "map [-1, 1] to [0, 1] with (image + 1) / 2"
        if high > 2:
            hint = "map [0, 255] to [0, 1] with image / 255"
        raise InputError(f"image values must lie in [0, 1], got [{low:.3g}, {high:.3g}]; {hint}")
    return scale_latents(vae.encode(image.clamp(0, 1)), vae.spec).to(available_device(device))


def decode_latent(vae: LatentCodec, latent: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Decode scaled latents to images `[B, 3, H, W]` in [0, 1].

    Args:
        vae: The codec.
        latent: Scaled latents `[B, C, h, w]`.
        device: Where the result goes; an absent one gives a warning and the CPU.

    Raises:
        InputError: The latents have another number of channels.
    """
    check_latents(latent, vae.spec)
    return vae.decode(unscale_latents(latent, vae.spec)).to(available_device(device))
