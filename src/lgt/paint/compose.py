"""From a photo to its painting, whatever computes: strength, detail, colours, brush size, place.

Pictures are float32 arrays `[B, 3, H, W]`, RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image import (
    from_pixels,
    keep_chroma,
    limit_side,
    luma,
    mask_pixels,
    soft_mask,
    to_levels,
    to_pixels,
    to_rgb,
)
from lgt.paint.controls import Controls, Progress, working_size
from lgt.paint.engine import Engine, Pixels, Transport
from lgt.processor import usable_cores

STRIP = 256
"""Rows that are worked on at once where a formula needs many temporaries."""

FINER, COAT = 1.5, 0.5
"""Size and strength of the second coat of an enlarged painting, relative to the first."""

MANY_STRIPS = 4
"""So many are worth threads."""

Weight = float | Pixels
"""One number, or a map `[1, 1, H, W]`."""


def part_of(progress: Progress, low: float, high: float) -> Progress:
    """Return a progress that fills the part from `low` to `high` of another."""
    return lambda fraction: progress(low + fraction * (high - low))


def layered(base: Image.Image, layers: Sequence[tuple[Image.Image, Image.Image]]) -> Image.Image:
    """Lay pictures of one size and mode over a base, each where its mask is white.

    Args:
        base: The lowest picture.
        layers: Pictures with their masks, lowest first; masks are stretched to the base's size.
    """
    for picture, mask in layers:
        base = Image.composite(picture, base, soft_mask(mask, base.size))
    return base


def paint(
    image: Image.Image,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    *,
    mask: Image.Image | None = None,
    detail_mask: Image.Image | None = None,
    progress: Progress | None = None,
) -> Image.Image:
    """Paint a picture; the result has its size (after `max_side`), its alpha and its dpi.

    Args:
        image: Of any mode; upright RGB, or RGBA where it has transparency, is what counts.
        engine: What computes.
        transport: The style to give, and how.
        controls: How to paint.
        mask: White: painted, black: the photo; stretched to the picture.
        detail_mask: Where `controls.detail` applies; None: everywhere.
        progress: Is told the fraction done.
    """
    report = progress or (lambda _: None)
    report(0.0)
    picture = limit_side(to_rgb(image, keep_alpha=True), controls.max_side)
    if controls.strength == 0:
        report(1.0)
        return picture
    flat = to_rgb(picture)
    size = working_size(flat.size, canvas_of(engine, controls), controls.style_scale)
    small = flat
    if size != flat.size:
        small = flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    detail: Weight = engine.detail if controls.detail is None else controls.detail
    if detail_mask is not None:
        detail = detail * mask_pixels(detail_mask, size)
    near = to_pixels(small)
    weight = residual_weight(controls.strength, detail)
    is_enlarged = small.width < flat.width
    first = 0.9 / (1 + FINER**2) if is_enlarged else 0.9
    result = repaint(near, engine, transport, controls, weight, part_of(report, 0.0, first))
    if is_enlarged:
        rest = part_of(report, first, 0.9)
        near, result = _finer(flat, near, result, engine, transport, controls, rest)
    painting: Enlargement | Pixels = result
    if near.shape[-2:] != flat.size[::-1]:
        painting = Enlargement(near, result, flat.size[::-1], 1 - controls.strength)
    if not np.isfinite(result).all():
        raise InputError("the painting holds values that are not finite (nan or inf)")
    painted = Image.fromarray(_finished(flat, painting, controls, mask))
    if picture.mode != "RGB":
        painted = _with_alpha(painted, picture)
    painted.info = dict(picture.info)  # The resolution.
    report(1.0)
    return painted


def _finer(
    flat: Image.Image,
    near: Pixels,
    result: Pixels,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    progress: Progress,
) -> tuple[Pixels, Pixels]:
    """Return the photo at `FINER` times the working size, and the painting, painted over there.

    What was enlarged is soft; a second, weaker coat of the same style gives it lines and strokes.
    """
    height, width = (round(FINER * side) for side in near.shape[-2:])
    sharper = flat
    if width < flat.width:
        sharper = flat.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    photo = to_pixels(sharper)
    coarse = Enlargement(near, result, photo.shape[-2:], 1 - controls.strength).rows(photo)
    coat = replace(controls, strength=controls.strength * COAT)
    weight = residual_weight(coat.strength, 0.0)
    return photo, repaint(coarse, engine, transport, coat, weight, progress)


def _finished(
    flat: Image.Image, painting: Enlargement | Pixels, controls: Controls, mask: Image.Image | None
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a painting in 8 bits, `[H, W, 3]`, with the photo's colours and where the mask is.

    It is made in strips of rows, by as many threads as there are cores: a photo of a camera holds
    ten million pixels.
    """
    width, height = flat.size
    area = None if mask is None else soft_mask(mask, flat.size)
    levels = np.empty((height, width, 3), np.uint8)

    def finish(top: int) -> None:
        box = (0, top, width, min(top + STRIP, height))
        photo = to_pixels(flat.crop(box))
        if isinstance(painting, Enlargement):
            part = painting.rows(photo, top)
        else:
            part = painting[..., top : box[3], :]
        if controls.preserve_color:
            part = keep_chroma(part, photo)
        if area is not None:
            part = mix(photo, part, to_pixels(area.crop(box)))
        levels[top : box[3]] = to_levels(part[0])

    tops = range(0, height, STRIP)
    if len(tops) < MANY_STRIPS:
        for top in tops:
            finish(top)
    else:
        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(finish, tops))
    return levels


def canvas_of(engine: Engine, controls: Controls) -> int:
    """Return the short side that larger pictures are painted at, in pixels; 0: their own."""
    return engine.canvas if controls.canvas is None else controls.canvas


def paint_pixels(
    photo: Pixels,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    *,
    size: tuple[int, int],
    detail: Weight,
) -> Pixels:
    """Paint pictures of one size; of `controls`, all but `max_side` and `detail` count.

    Args:
        photo: The pictures `[B, 3, H, W]`.
        engine: What computes.
        transport: The style to give, and how.
        controls: How to paint.
        size: Width and height at which they are painted, from :func:`working_size`.
        detail: Share of the lost detail that is given back, one or a map of that size.
    """
    height, width = photo.shape[-2:]
    near = photo
    if size != (width, height):
        near = np.clip(resize(photo, size[::-1]), 0, 1)
    weight = residual_weight(controls.strength, detail)
    result = repaint(near, engine, transport, controls, weight)
    if near is not photo:
        result = Enlargement(near, result, (height, width), 1 - controls.strength).rows(photo)
    if controls.preserve_color:
        for top in range(0, height, STRIP):
            rows = (..., slice(top, top + STRIP), slice(None))
            result[rows] = keep_chroma(result[rows], photo[rows])
    return result


def residual_weight(strength: float, detail: Weight) -> Weight:
    """Return d = 1 - s (1 - detail), the share of `photo - decode(encode(photo))` to add.

    At s = 0 it is 1, so that the result is the photo whatever the codec loses; at s = 1 it is
    `detail`. That is for brightness; of colours only 1 - s comes back, as the palette is the
    style's.
    """
    return 1 - strength * (1 - detail)


def repaint(
    photo: Pixels,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    weight: Weight,
    progress: Progress = lambda _: None,
) -> Pixels:
    """Return `decode(x_s)` and what comes back of `r = photo - decode(x_src)`.

    `x_s = x_src + s (x_1 - x_src)`; of r come `(1 - s) r + (d - (1 - s)) luma(r)` back, with d the
    `weight` of :func:`residual_weight`.
    """
    height, width = photo.shape[-2:]
    strength, tile = controls.strength, controls.tile
    padding = ((0, 0), (0, 0), (0, -height % engine.multiple), (0, -width % engine.multiple))
    padded = np.pad(photo, padding, mode="edge") if np.any(padding) else photo
    if tile is None and not isinstance(weight, np.ndarray):
        whole = engine.at_once(padded, transport, strength, weight)
        if whole is not None:
            progress(1.0)
            return whole[..., :height, :width]
    x_src = engine.encode(padded, tile, part_of(progress, 0.0, 0.25))
    x_s = engine.move(x_src, transport, tile, part_of(progress, 0.25, 0.6))
    if strength < 1:
        x_s = x_src + strength * (x_s - x_src)
    has_residual = bool(np.any(np.asarray(weight) > 0))
    half = 0.8 if has_residual else 1.0
    result = engine.decode(x_s, tile, part_of(progress, 0.6, half))[..., :height, :width]
    if has_residual:
        lost = engine.decode(x_src, tile, part_of(progress, half, 1.0))[..., :height, :width]
        np.subtract(photo, lost, out=lost)
        color = 1 - strength
        result += luma(lost) * (weight - color)
        lost *= color
        result += lost
        np.clip(result, 0, 1, out=result)
    return result


class Enlargement:
    """A painting of the working size at the photo's, with edges as sharp as the photo's.

    `up(g) photo + up(result - g near)`, with `near` the photo at the working size. The gain g is
    the local slope of the painting's luma over the photo's (least squares over 5 x 5 pixels, within
    [0, 1]): where the painting kept the photo's shapes their edges become sharp, where it painted
    them over nothing comes back.

    Args:
        near: `[B, 3, h, w]`.
        result: Its painting.
        size: Height and width of the photo.
        least: Least gain, in [0, 1]; at 1 the photo's fine detail comes back whole.

    References:
        He and Sun, Fast Guided Filter, 2015, algorithm 2, https://arxiv.org/abs/1505.00996.
        Note: their offset is a mean over the window; this one keeps the painting's own texture.
    """

    def __init__(
        self, near: Pixels, result: Pixels, size: tuple[int, int], least: float = 0.0
    ) -> None:
        y, x = luma(result), luma(near)
        covariance = local_mean(x * y) - local_mean(x) * local_mean(y)
        variance = local_mean(x * x) - np.square(local_mean(x))
        self.size, self.gain = size, np.clip(covariance / (variance + 1e-4), least, 1)
        self.offset = result - self.gain * near

    def rows(self, photo: Pixels, top: int = 0) -> Pixels:
        """Return the rows of the painting that some rows of the photo lie under.

        Args:
            photo: These rows, `[B, 3, H, W]`.
            top: The first one's number.
        """
        height, width = photo.shape[-2:]
        part = (top / self.size[0], (top + height) / self.size[0])
        result = resize(self.offset, (height, width), part=part)
        # By the same filter: where the photo is plain, gain and offset then cancel.
        result += resize(self.gain, (height, width), part=part) * photo
        return np.clip(result, 0, 1, out=result)


def local_mean(values: Pixels, reach: int = 2) -> Pixels:
    """Return the mean over windows of `2 reach + 1` pixels a side, cut off at the borders."""
    for axis in (-2, -1):
        count = values.shape[axis]
        near = [slice(max(0, shift), count + min(0, shift)) for shift in range(-reach, reach + 1)]
        total, number = np.zeros_like(values), np.zeros(count, np.float32)
        for here, there in zip(near, reversed(near), strict=True):
            if here.start < here.stop:
                at, of = np.moveaxis(total, axis, -1), np.moveaxis(values, axis, -1)
                at[..., here] += of[..., there]
                number[here] += 1
        values = np.asarray(total / (number[:, None] if axis == -2 else number))
    return values


def resize(
    pictures: Pixels,
    size: Sequence[int],
    filter_: Image.Resampling = Image.Resampling.BICUBIC,
    *,
    part: tuple[float, float] = (0.0, 1.0),
) -> Pixels:
    """Scale pictures `[B, C, H, W]` to a height and width; smooth where they become smaller.

    Args:
        pictures: The pictures.
        size: Height and width of the result.
        filter_: How pixels are weighed; cubic unless given.
        part: Rows of the pictures that the result shows, as fractions of their height.
    """
    height, width = size
    rows = [bound * pictures.shape[-2] for bound in part]
    box = (0, rows[0], pictures.shape[-1], rows[1])
    result = np.empty((*pictures.shape[:2], height, width), np.float32)
    for index in np.ndindex(*pictures.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(pictures[index], np.float32))
        result[index] = np.asarray(plane.resize((width, height), filter_, box=box))
    return result


def mix(first: Pixels, second: Pixels, weight: Pixels) -> Pixels:
    """Return `first` where the weight is 0 and `second` where it is 1, both exactly."""
    near = first + weight * (second - first)
    return np.where(weight < 0.5, near, second - (1 - weight) * (second - first))


def _with_alpha(painted: Image.Image, picture: Image.Image) -> Image.Image:
    """Take white paper off again: the colours C with `C a + 1 - a = painted`, and the alpha a."""
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    alpha, result = pixels[3:], to_pixels(painted)[0]
    colors = (result - 1 + alpha) / np.maximum(alpha, np.float32(1 / 255))
    image = from_pixels(np.where(alpha > 0, colors, pixels[:3]))
    image.putalpha(picture.getchannel("A"))
    return image
