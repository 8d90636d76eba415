"""Use of a trained model: latents in, latents out; or pictures in, pictures out."""

from lgt.codec import decode_latent, encode_image, load_vae
from lgt.image import preprocess, save_image
from lgt.paint.transfer import LGTInference

__all__ = [
    "LGTInference",
    "decode_latent",
    "encode_image",
    "load_vae",
    "preprocess",
    "save_image",
]
