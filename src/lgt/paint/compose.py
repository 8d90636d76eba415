"""From a photo to its painting, whatever computes: strength, detail, colours, brush size, place.

Pictures are float32 arrays `[B, 3, H, W]`, RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import EllipsisType
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lgt.errors import InputError
from lgt.image import (
    from_pixels,
    is_plain,
    keep_chroma,
    limit_side,
    luma,
    mask_pixels,
    soft_mask,
    to_picture,
    to_pixels,
    to_rgb,
)
from lgt.paint.controls import Controls, Progress, working_size
from lgt.paint.engine import Engine, Pixels, Refinement, Transport
from lgt.paint.enlarge import BLOCK, Enlargement, Strip, mix, resize
from lgt.paint.palette import with_photo_colors
from lgt.processor import usable_cores

STRIP = 256
"""Rows that a thread works on; it takes `BLOCK` of them at once."""

MARGIN = 16
"""Pixels of mirror image around a picture that is painted on a canvas, cut off again: next to a
border the codec and the network see half of their surroundings, and shade a rim."""

LEAST_WITH_MARGIN = 320
"""Pixels of the short side from which on a picture has it: a smaller one would take a fifth longer
and more."""

MANY_PIXELS = 2**21
"""A picture of so many is worth threads."""

Item = TypeVar("Item")
Result = TypeVar("Result")

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
    overwrite: bool = False,
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
        overwrite: Paint over `image` where that spares memory; it is lost then.

    Raises:
        InputError: `image` or a mask is no picture, or the painting is not finite.
    """
    for name, given in (("image", image), ("mask", mask), ("detail_mask", detail_mask)):
        if given is not None and not isinstance(given, Image.Image):
            raise InputError(
                f"{name} must be a picture of Pillow, as PIL.Image.open gives (got "
                f"{type(given).__name__})"
            )
    report = progress or (lambda _: None)
    report(0.0)
    # A photo of a camera takes 50 MB: it is not copied without need.
    upright = image if is_plain(image) else to_rgb(image, keep_alpha=True)
    picture = limit_side(upright, controls.max_side)
    if controls.strength == 0:
        report(1.0)
        return picture.copy()
    flat = picture if picture.mode == "RGB" else to_rgb(picture)
    size = working_size(flat.size, canvas_of(engine, controls), controls.style_scale)
    small = flat
    if size != flat.size:
        small = flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    detail: Weight = engine.detail if controls.detail is None else controls.detail
    if detail_mask is not None:
        detail = detail * mask_pixels(detail_mask, size)
    near = to_pixels(small)
    weight = residual_weight(controls.strength, detail)
    result = repaint(near, engine, transport, controls, weight, part_of(report, 0.0, 0.9))
    result = with_photo_colors(result, near, color_of(engine, controls))
    painting: Enlargement | Pixels = result
    if near.shape[-2:] != flat.size[::-1]:
        painting = Enlargement(near, result, flat.size[::-1], 1 - controls.strength)
    if not np.isfinite(result).all():
        raise InputError("the painting holds values that are not finite (nan or inf)")
    painted = flat if overwrite or flat is not image else Image.new("RGB", flat.size)
    _finish(painted, flat, painting, controls, mask)
    if picture.mode != "RGB":
        painted = _with_alpha(painted, picture)
    painted.info = dict(picture.info)  # The resolution.
    report(1.0)
    return painted


def _each(function: Callable[[Item], Result], items: Iterable[Item], pixels: int) -> list[Result]:
    """Return what a function makes of each item, side by side where there are many pixels."""
    if pixels < MANY_PIXELS or usable_cores() == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(function, items))


def _finish(
    painted: Image.Image,
    flat: Image.Image,
    painting: Enlargement | Pixels,
    controls: Controls,
    mask: Image.Image | None,
) -> None:
    """Fill `painted` with a painting in 8 bits, with the photo's colours and where the mask is.

    In strips of rows, by as many threads as there are cores: a photo of a camera holds ten million
    pixels. Each strip needs those rows of the photo alone, so that `painted` may be `flat` itself.
    """
    width, height = flat.size
    area = None if mask is None else soft_mask(mask, flat.size)

    def finish(top: int) -> None:
        bottom = min(top + STRIP, height)
        strip = painting.strip(top, bottom) if isinstance(painting, Enlargement) else painting
        for start in range(top, bottom, BLOCK):
            box = (0, start, width, min(start + BLOCK, bottom))
            photo = to_pixels(flat.crop(box))
            if isinstance(strip, Strip):
                part = strip.rows(photo, start)
                if controls.preserve_color or area is not None:
                    np.clip(part, 0, 1, out=part)
            else:
                part = strip[..., start : box[3], :]
            if controls.preserve_color:
                part = keep_chroma(part, photo)
            if area is not None:
                part = mix(photo, part, to_pixels(area.crop(box)))
            painted.paste(to_picture(part[0]), box)

    _each(finish, range(0, height, STRIP), width * height)


def canvas_of(engine: Engine, controls: Controls) -> int:
    """Return the short side that larger pictures are painted at, in pixels; 0: their own."""
    return engine.canvas if controls.canvas is None else controls.canvas


def color_of(engine: Engine, controls: Controls) -> float:
    """Return the share of the photo's broad colours that comes back."""
    return engine.color if controls.color is None else controls.color


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
    result = with_photo_colors(result, near, color_of(engine, controls))
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
    strength, tile = controls.strength, controls.tile
    has_margin = canvas_of(engine, controls) > 0 and min(photo.shape[-2:]) >= LEAST_WITH_MARGIN
    padded, inner = _padded(photo, MARGIN if has_margin else 0, engine.multiple)
    if tile is None and not controls.refine and not isinstance(weight, np.ndarray):
        whole = engine.at_once(padded, transport, strength, weight)
        if whole is not None:
            progress(1.0)
            return whole[inner]
    if controls.refine:  # Nearly all of the time goes there.
        part = part_of(progress, 0.0, 0.97)
        x_src, x_s = _refined(padded, engine, transport, controls, weight, part)
        progress = part_of(progress, 0.97, 1.0)
    else:
        x_src = engine.encode(padded, tile, part_of(progress, 0.0, 0.25))
        x_s = engine.move(x_src, transport, tile, part_of(progress, 0.25, 0.6))
    if strength < 1:
        x_s = x_src + strength * (x_s - x_src)
    has_residual = bool(np.any(np.asarray(weight) > 0))
    half = 0.8 if has_residual else 1.0
    result = engine.decode(x_s, tile, part_of(progress, 0.6, half))[inner]
    if has_residual:
        lost = engine.decode(x_src, tile, part_of(progress, half, 1.0))[inner]
        np.subtract(photo, lost, out=lost)
        color = 1 - strength
        result += luma(lost) * (weight - color)
        lost *= color
        result += lost
        np.clip(result, 0, 1, out=result)
    return result


def _refined(
    photo: Pixels,
    engine: Engine,
    transport: Transport,
    controls: Controls,
    weight: Weight,
    progress: Progress,
) -> tuple[Any, Any]:
    """Return the latents of photos, and where these are taken and refined to."""
    tile, strength = controls.tile, controls.strength
    x_src = engine.encode(photo, tile, part_of(progress, 0.0, 0.02))
    x_1 = engine.move(x_src, transport, tile, part_of(progress, 0.02, 0.04))
    detail = (float(np.mean(weight)) - (1 - strength)) / strength
    refinement = Refinement(steps=controls.refine, pictures=photo, detail=detail)
    return x_src, engine.refine(x_1, x_src, transport, refinement, part_of(progress, 0.04, 1.0))


def _padded(
    photo: Pixels, margin: int, multiple: int
) -> tuple[Pixels, tuple[EllipsisType, slice, slice]]:
    """Return pictures that a codec divides, with a margin all around, and where they lie in it."""
    height, width = photo.shape[-2:]
    sides = [(margin, margin + -(side + 2 * margin) % multiple) for side in (height, width)]
    inner = (..., slice(margin, margin + height), slice(margin, margin + width))
    if not np.any(sides):
        return photo, inner
    return np.pad(photo, ((0, 0), (0, 0), *sides), mode="reflect" if margin else "edge"), inner


def _with_alpha(painted: Image.Image, picture: Image.Image) -> Image.Image:
    """Take white paper off again: the colours C with `C a + 1 - a = painted`, and the alpha a."""
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    alpha, result = pixels[3:], to_pixels(painted)[0]
    colors = (result - 1 + alpha) / np.maximum(alpha, np.float32(1 / 255))
    image = from_pixels(np.where(alpha > 0, colors, pixels[:3]))
    image.putalpha(picture.getchannel("A"))
    return image
