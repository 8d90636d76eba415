"""Pictures: files, PIL images and tensors (float32 `[B, 3, H, W]`, RGB, in [0, 1])."""

from lgt.image.color import keep_chroma, luma
from lgt.image.convert import (
    limit_side,
    limited_size,
    preprocess,
    resize_and_crop,
    to_image,
    to_tensor,
)
from lgt.image.masks import mask_tensor, soft_mask
from lgt.image.read import IMAGE_SUFFIXES, MAX_PIXELS, open_image, to_rgb
from lgt.image.write import contact_sheet, image_format, picture_sheet, save_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "contact_sheet",
    "image_format",
    "keep_chroma",
    "limit_side",
    "limited_size",
    "luma",
    "mask_tensor",
    "open_image",
    "picture_sheet",
    "preprocess",
    "resize_and_crop",
    "save_image",
    "soft_mask",
    "to_image",
    "to_rgb",
    "to_tensor",
]
