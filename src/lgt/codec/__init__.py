"""Image codecs: pictures to latents and back.

Names are imported on first use (PEP 562): the kernels serve engines that have no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lgt.codec.dct import DCTCodec
    from lgt.codec.diffusers_codecs import DiffusersKLCodec, DiffusersTinyCodec
    from lgt.codec.learned import TinyCodec
    from lgt.codec.load import DEFAULT_HUB_ID, EMBEDDED, load_codec, load_vae
    from lgt.codec.spec import (
        CodecSourceError,
        CodecSpec,
        LatentCodec,
        decode_latent,
        encode_image,
        scale_latents,
        unscale_latents,
    )
    from lgt.device import resolve_device

_HOMES = {
    "lgt.codec.dct": ("DCTCodec",),
    "lgt.codec.diffusers_codecs": ("DiffusersKLCodec", "DiffusersTinyCodec"),
    "lgt.codec.learned": ("TinyCodec",),
    "lgt.codec.load": ("DEFAULT_HUB_ID", "EMBEDDED", "load_codec", "load_vae"),
    "lgt.codec.spec": (
        "CodecSourceError",
        "CodecSpec",
        "LatentCodec",
        "decode_latent",
        "encode_image",
        "scale_latents",
        "unscale_latents",
    ),
    "lgt.device": ("resolve_device",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DEFAULT_HUB_ID",
    "EMBEDDED",
    "CodecSourceError",
    "CodecSpec",
    "DCTCodec",
    "DiffusersKLCodec",
    "DiffusersTinyCodec",
    "LatentCodec",
    "TinyCodec",
    "decode_latent",
    "encode_image",
    "load_codec",
    "load_vae",
    "resolve_device",
    "scale_latents",
    "unscale_latents",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
