"""From a photo to its painting, whatever computes: strength, detail, colours, brush size, place.

Pictures are float32 arrays `[B, 3, H, W]`, RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from lgt.image import (
    from_pixels,
    keep_chroma,
    limit_side,
    luma,
    mask_pixels,
    soft_mask,
    to_pixels,
    to_rgb,
)
from lgt.paint.controls import Controls, Progress, working_size
from lgt.paint.engine import Engine, Pixels, Transport

STRIP = 256
"""Rows that are worked on at once where a formula needs many temporaries."""

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
    photo = to_pixels(flat)
    size = working_size(flat.size, controls.style_scale)
    near = photo
    if size != flat.size:
        near = to_pixels(flat.resize(size, Image.Resampling.LANCZOS))
    detail: Weight = engine.detail if controls.detail is None else controls.detail
    if detail_mask is not None:
        detail = detail * mask_pixels(detail_mask, size)
    result = paint_pixels(
        photo,
        engine,
        transport,
        controls,
        near=near,
        detail=detail,
        progress=part_of(report, 0.0, 0.95),
    )
    if mask is not None:
        result = mix(photo, result, mask_pixels(mask, flat.size))
    painted = from_pixels(result)
    if picture.mode != "RGB":
        painted = _with_alpha(painted, picture)
    painted.info = dict(picture.info)  # The resolution.
    report(1.0)
    return painted


def paint_pixels(
    photo: Pixels,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    *,
    near: Pixels,
    detail: Weight,
    progress: Progress = lambda _: None,
) -> Pixels:
    """Paint pictures of one size; of `controls`, all but `max_side` and `detail` count.

    Args:
        photo: The pictures `[B, 3, H, W]`.
        engine: What computes.
        transport: The style to give, and how.
        controls: How to paint.
        near: The pictures at the working size; `photo` itself where that is the same.
        detail: Share of the lost detail that is given back, one or a map of the working size.
        progress: Is told the fraction done.
    """
    weight = residual_weight(controls.strength, detail)
    result = repaint(near, engine, transport, controls, weight, progress)
    if near is not photo:
        result = enlarge(result, near, photo, weight)
    if controls.preserve_color:
        for rows in _strips(photo):
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


def enlarge(result: Pixels, near: Pixels, photo: Pixels, weight: Weight = 0.0) -> Pixels:
    """Bring a painting of the working size to the photo's, with edges as sharp as the photo's.

    `up(result) + g (photo - up(near))`, with `near` the photo at the working size. The gain g is
    the local slope of the painting's luma over the photo's (least squares over 5 x 5 pixels, within
    [0, 1]): where the painting kept the photo's shapes their edges become sharp, where it painted
    them over nothing comes back. `weight` (d of :func:`residual_weight`) raises g up to 1.

    References:
        He, Sun and Tang, Guided Image Filtering, 2010, eq. 5 (the slope),
        https://doi.org/10.1007/978-3-642-15549-9_1
    """
    y, x = luma(result), luma(near)
    covariance = local_mean(x * y) - local_mean(x) * local_mean(y)
    variance = local_mean(x * x) - np.square(local_mean(x))
    slope = np.clip(covariance / (variance + 1e-4), 0, 1)
    gain = slope + weight * (1 - slope)
    size = photo.shape[-2:]
    full = resize(near, size)
    np.subtract(photo, full, out=full)
    full *= resize(gain, size, Image.Resampling.BILINEAR)
    full += resize(result, size)
    return np.clip(full, 0, 1, out=full)


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
) -> Pixels:
    """Scale pictures `[B, C, H, W]` to a height and width; smooth where they become smaller."""
    height, width = size
    result = np.empty((*pictures.shape[:2], height, width), np.float32)
    for index in np.ndindex(*pictures.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(pictures[index], np.float32))
        result[index] = np.asarray(plane.resize((width, height), filter_))
    return result


def mix(first: Pixels, second: Pixels, weight: Pixels) -> Pixels:
    """Return `first` where the weight is 0 and `second` where it is 1, both exactly."""
    near = first + weight * (second - first)
    return np.where(weight < 0.5, near, second - (1 - weight) * (second - first))


def _strips(image: Pixels) -> Iterator[tuple[Any, ...]]:
    """Yield index ranges that cut a picture into strips of rows."""
    return ((..., slice(row, row + STRIP), slice(None)) for row in range(0, image.shape[-2], STRIP))


def _with_alpha(painted: Image.Image, picture: Image.Image) -> Image.Image:
    """Take white paper off again: the colours C with `C a + 1 - a = painted`, and the alpha a."""
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    alpha, result = pixels[3:], to_pixels(painted)[0]
    colors = (result - 1 + alpha) / np.maximum(alpha, np.float32(1 / 255))
    image = from_pixels(np.where(alpha > 0, colors, pixels[:3]))
    image.putalpha(picture.getchannel("A"))
    return image
