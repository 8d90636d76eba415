"""Use of a trained model: latents in, latents out; or pictures in, pictures out."""

try:
    from lgt.codec import decode_latent, encode_image, load_vae
    from lgt.image import preprocess, save_image
    from lgt.paint.transfer import LGTInference
except ModuleNotFoundError as error:
    from lgt.extras import MissingExtraError, missing

    if (text := missing(error.name or "")) is None:
        raise
    raise MissingExtraError(f"lgt.inference: {text}", name=error.name) from error

__all__ = [
    "LGTInference",
    "decode_latent",
    "encode_image",
    "load_vae",
    "preprocess",
    "save_image",
]
