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
from lgt.image.metadata import TEXT_FORMATS, read_exif, read_text
from lgt.image.read import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    check_file,
    named_bytes,
    open_image,
    to_rgb,
)
from lgt.image.write import contact_sheet, image_format, picture_sheet, save_image, write_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "TEXT_FORMATS",
    "check_file",
    "contact_sheet",
    "image_format",
    "keep_chroma",
    "limit_side",
    "limited_size",
    "luma",
    "mask_tensor",
    "named_bytes",
    "open_image",
    "picture_sheet",
    "preprocess",
    "read_exif",
    "read_text",
    "resize_and_crop",
    "save_image",
    "soft_mask",
    "to_image",
    "to_rgb",
    "to_tensor",
    "write_image",
]
