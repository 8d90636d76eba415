"""Pictures of a folder as scaled latents: several windows of each where there are few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import ImageOps
from torch import Tensor

from lgt.codec import LatentCodec, encode_image
from lgt.data.pictures import crop_window
from lgt.errors import InputError
from lgt.image import (
    IMAGE_SUFFIXES,
    open_image,
    pictures_among,
    resize_and_crop,
    to_tensor,
    visible_files,
)

MIN_VIEWS = 64
"""Windows wanted of all pictures together; a picture gives at most `MAX_CROPS`, and mirrored."""
MAX_CROPS = 24


@dataclass(frozen=True)
class Views:
    """Encoded windows of some pictures."""

    latents: Tensor
    """Scaled, `[N, C, h, w]`, float32, CPU."""
    squares: Tensor
    """What they are of, `[N, 3, H, W]`, uint8, CPU."""
    num_pictures: int
    """Pictures that could be read."""
    problems: tuple[str, ...]
    """Files that could not, and why."""


def picture_files(place: Path, option: str) -> list[Path]:
    """Return the pictures of a folder and of its sub-folders, or the one picture named.

    Raises:
        InputError: There is none.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"{option}: no such folder: {place} (working directory: {Path.cwd()})")
    files = sorted(pictures_among(visible_files(place)))
    if not files:
        raise InputError(
            f"{option}: {place} holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return files


def num_crops(num_pictures: int, min_views: int = MIN_VIEWS) -> int:
    """Return how many windows to take of each picture, which are mirrored too where above 1."""
    if num_pictures >= min_views:
        return 1
    return min(MAX_CROPS, -(-min_views // (2 * num_pictures)))


def encode_views(
    files: Sequence[Path],
    codec: LatentCodec,
    size: int,
    *,
    crops: int = 1,
    mirrored: bool = False,
    scale: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Views:
    """Cut squares out of pictures and encode them.

    Args:
        files: Pictures; damaged ones are reported, not raised.
        codec: Makes the latents.
        size: Side of the squares, in pixels.
        crops: Windows of each picture.
        mirrored: Add the mirror image of each.
        scale: How often a square fits into a picture's short side, at least 1.
        progress: Is told the pictures done and their number.

    Raises:
        InputError: No picture could be read.
    """
    latents, squares, problems = [], [], []
    for done, path in enumerate(files):
        try:
            image = open_image(path, min_side=round(2 * scale * size))
            cut = []
            for crop in range(crops):
                position, zoom = crop_window(crop, *image.size)
                square = resize_and_crop(image, size, position=position, zoom=scale * zoom)
                cut += [square, ImageOps.mirror(square)] if mirrored else [square]
        except InputError as error:
            problems.append(str(error))
            continue
        with torch.no_grad():
            for square in cut:
                pixels = to_tensor(square)
                latents.append(encode_image(codec, pixels).float().cpu())
                squares.append((255 * pixels).round().to(torch.uint8))
        if progress is not None:
            progress(done + 1, len(files))
    if not latents:
        raise InputError("no picture could be read:\n" + "\n".join(f"  - {p}" for p in problems))
    num_pictures = len(files) - len(problems)
    return Views(torch.cat(latents), torch.cat(squares), num_pictures, tuple(problems))
