"""The photo's broad colours in a painting: what the sky, skin or a dress were.

A style's collection has its palette, but knows nothing of the photo: matched to it, a red becomes
olive and a grey sky pink. Pictures are float32 arrays `[B, 3, H, W]`, RGB in [0, 1].
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lgt.image import luma
from lgt.paint.engine import Pixels
from lgt.paint.enlarge import resize

CELLS = 40
"""Of the short side of a picture: what is broader than one counts as broad, strokes do not."""

SURE = 3.0
"""How much more colourful than its photo a painting may be for the photo's colours to count in
full; those of a photo in black and white count for nothing."""


def with_photo_colors(painting: Pixels, photo: Pixels, share: float) -> Pixels:
    """Bring back a share of the photo's broad colours; the luma stays, and so do the strokes.

    Of cells, the mean chroma c (R, G and B without the luma) goes `share` of the way to the photo's
    chroma p at the painting's own saturation: `c + share min(1, 3 |p| / |c|) (p min(1, |c| / |p|) -
    c)`, with |c| and |p| means over the picture. What is grey stays grey.

    Args:
        painting: `[B, 3, H, W]`; it is changed where it lies.
        photo: Of the same shape.
        share: In [0, 1].

    Returns:
        The painting, in [0, 1].
    """
    if share == 0:
        return painting
    height, width = painting.shape[-2:]
    scale = min(1.0, CELLS / min(height, width))
    rows, columns = (max(1, int(side * scale + 0.5)) for side in (height, width))
    own, given = (_chroma(_cells(x, rows, columns)) for x in (painting, photo))
    strong, wanted = (_saturation(x) for x in (own, given))
    tiny = np.float32(1e-6)
    goal = given * np.minimum(1, strong / (wanted + tiny))
    change = share * np.minimum(1, SURE * wanted / (strong + tiny)) * (goal - own)
    for channel in range(3):  # One at a time: a photo of a camera takes 150 MB.
        plane = change[:, channel : channel + 1].astype(np.float32)
        wide = resize(plane, (height, width), Image.Resampling.BILINEAR)
        painting[:, channel] += wide[:, 0]
    return np.clip(painting, 0, 1, out=painting)


def _chroma(cells: Pixels) -> Pixels:
    return np.asarray(cells - luma(cells))


def _saturation(chroma: Pixels) -> Pixels:
    """Return the mean length of the chroma of each picture, `[B, 1, 1, 1]`."""
    return np.asarray(np.sqrt(np.square(chroma).sum(1)).mean((1, 2)))[:, None, None, None]


def _cells(pictures: Pixels, rows: int, columns: int) -> Pixels:
    """Return the means of cells, `[B, 3, rows, columns]`."""
    for axis, count in ((2, rows), (3, columns)):
        size = pictures.shape[axis]
        starts = np.arange(count) * size // count
        sizes = np.diff(starts, append=size).astype(np.float32)
        sums = np.add.reduceat(pictures, starts, axis=axis)
        pictures = sums / (sizes[:, None] if axis == 2 else sizes)
    return pictures
