"""Pictures: files, PIL images and tensors (float32 `[B, 3, H, W]`, RGB, in [0, 1])."""

from lgt.image.color import keep_chroma, luma
from lgt.image.convert import (
    from_pixels,
    limit_side,
    preprocess,
    resize_and_crop,
    to_image,
    to_levels,
    to_picture,
    to_pixels,
    to_tensor,
)
from lgt.image.folders import (
    LeftOut,
    left_out,
    left_out_among,
    pictures_among,
    visible_files,
)
from lgt.image.frames import opened_frames
from lgt.image.kinds import IMAGE_SUFFIXES
from lgt.image.masks import mask_pixels, mask_value, soft_mask
from lgt.image.metadata import TEXT_FORMATS, read_exif, read_text
from lgt.image.opening import MAX_PIXELS, opened
from lgt.image.read import check_file, is_plain, named_bytes, open_image, to_rgb
from lgt.image.size import limited_size
from lgt.image.write import (
    check_size,
    contact_sheet,
    image_format,
    picture_sheet,
    save_image,
    save_options,
    write_image,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "TEXT_FORMATS",
    "LeftOut",
    "check_file",
    "check_size",
    "contact_sheet",
    "from_pixels",
    "image_format",
    "is_plain",
    "keep_chroma",
    "left_out",
    "left_out_among",
    "limit_side",
    "limited_size",
    "luma",
    "mask_pixels",
    "mask_value",
    "named_bytes",
    "open_image",
    "opened",
    "opened_frames",
    "picture_sheet",
    "pictures_among",
    "preprocess",
    "read_exif",
    "read_text",
    "resize_and_crop",
    "save_image",
    "save_options",
    "soft_mask",
    "to_image",
    "to_levels",
    "to_picture",
    "to_pixels",
    "to_rgb",
    "to_tensor",
    "visible_files",
    "write_image",
]
