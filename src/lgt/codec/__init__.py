"""Image codecs: pictures to latents and back."""

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
