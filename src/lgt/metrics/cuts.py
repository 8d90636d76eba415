"""How a picture becomes the squares that are measured: reduced whole, or windows at full size."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import torch
from PIL import Image

from lgt.image import resize_and_crop, to_tensor
from lgt.metrics.features import Pictures

Place = tuple[int, int]
"""Left and top of a window, in pixels."""

GRID = 2
"""Windows of a picture along each axis."""
WINDOWS = GRID**2
"""Windows of a picture."""


def levels(image: Image.Image) -> Pictures:
    """Return a picture in 8 bits, `[1, 3, H, W]`."""
    return (to_tensor(image) * 255).round().to(torch.uint8)


def square(image: Image.Image, size: int) -> Pictures:
    """Return the centred square, scaled to `size`: `[1, 3, size, size]`."""
    return levels(resize_and_crop(image, size))


def window_places(image: Image.Image, size: int) -> list[Place]:
    """Return where the windows of a picture lie; equal pictures give equal places.

    The room in which a window can be moved is divided into GRID x GRID parts, and each part holds
    one corner, drawn by the content of the picture: windows of all places, few of them alike.

    Args:
        image: RGB, no side shorter than `size`.
        size: Side of a window in pixels.
    """
    digest = hashlib.sha256(f"{image.size} {size}".encode() + image.tobytes()).hexdigest()
    draw = random.Random(digest)
    room = image.width - size, image.height - size
    return [
        (_drawn(room[0], column, draw), _drawn(room[1], row, draw))
        for row in range(GRID)
        for column in range(GRID)
    ]


def _drawn(room: int, part: int, draw: random.Random) -> int:
    return int(room * (part + draw.random()) / GRID)


def windows(image: Image.Image, size: int, places: Sequence[Place]) -> Pictures:
    """Cut windows at these places, on the pixel grid: `[len(places), 3, size, size]`."""
    pixels = levels(image)
    return torch.cat([pixels[..., top : top + size, left : left + size] for left, top in places])


def by_window(cut: Sequence[Pictures]) -> Pictures:
    """Join the squares of N pictures, K each: the first of all pictures, then the second of all.

    Args:
        cut: `[K, 3, H, W]` of each picture.
    """
    return torch.stack(list(cut)).transpose(0, 1).flatten(0, 1).contiguous()
