"""Codecs in diffusers layout; diffusers itself is imported only where its code has to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lgt.codec.learned import LearnedCodec, TinyCodec
from lgt.codec.spec import CodecSourceError, LatentCodec
from lgt.codec.tiny import load_tiny
from lgt.errors import CodecError
from lgt.extras import pip_install

DiffusersTinyCodec = TinyCodec
"""The earlier name."""


class DiffusersKLCodec(LearnedCodec):
    """A variational autoencoder (`AutoencoderKL`); the latent is the posterior mean.

    Args:
        model: The loaded `diffusers.AutoencoderKL`.
        name: Short name for people.
        source: What to give `load_codec` to get it again.
    """

    def __init__(self, model: Any, *, name: str, source: str) -> None:
        downscale = 2 ** (len(model.config["block_out_channels"]) - 1)
        super().__init__(model, name=name, source=source, downscale=downscale)

    def _encode(self, images: Tensor) -> Tensor:
        mean: Tensor = self.model.encode(images).latent_dist.mean
        return mean

    def _decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.model.decode(latents).sample
        return images


def from_folder(class_name: str, folder: Path, source: str, name: str) -> LatentCodec:
    """Load an autoencoder in diffusers layout, and wrap it.

    Args:
        class_name: `AutoencoderKL`, which diffusers loads, or `AutoencoderTiny`, which needs no
            diffusers.
        folder: `config.json` and the weights.
        source: What the user named, for messages and the spec.
        name: Short name for people.

    Raises:
        CodecError: Another class, no diffusers, or weights that are incomplete or damaged.
    """
    if class_name not in ("AutoencoderKL", "AutoencoderTiny"):
        raise CodecSourceError(
            f"codec '{source}': is a {class_name}; only AutoencoderKL and AutoencoderTiny of "
            "diffusers are supported"
        )
    if class_name == "AutoencoderTiny":
        return TinyCodec(load_tiny(folder, source), name=name, source=source)
    require_diffusers(source)
    import diffusers

    try:
        autoencoder: Any = diffusers.AutoencoderKL
        model, info = autoencoder.from_pretrained(
            str(folder), torch_dtype=torch.float32, output_loading_info=True, local_files_only=True
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
    return DiffusersKLCodec(model, name=name, source=source)


def require_diffusers(source: str) -> None:
    """Raise a CodecError with advice where diffusers is not installed."""
    try:
        import diffusers  # noqa: F401
    except ImportError:
        raise CodecError(
            f"codec '{source}': needs the package diffusers; install it with "
            f"{pip_install('torch')}, or use the codec 'embedded' or 'dct'"
        ) from None
