"""What a user can turn while a picture is painted: strength, detail, colour, brush size, place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from lgt.codec import LatentCodec, decode_latent, encode_image
from lgt.codec.tiles import TiledCodec
from lgt.errors import InputError
from lgt.image import (
    MAX_PIXELS,
    keep_chroma,
    luma,
    mask_tensor,
    soft_mask,
    to_image,
    to_rgb,
    to_tensor,
)
from lgt.image import limit_side as limit_side
from lgt.image import limited_size as limited_size

Progress = Callable[[float], None]
"""Is told the fraction done, in [0, 1]; what it raises stops the work."""

Transfer = Callable[[Tensor, Progress], Tensor]
"""Maps scaled source latents to stylised ones."""

AUTO_TILE = 1024
"""Side in pixels of the tiles in which larger pictures are encoded and decoded."""

MIN_TILE = 64
STYLE_SCALES = (0.25, 8.0)
STRIP = 256
"""Rows that are worked on at once where a formula needs many temporaries."""


@dataclass(frozen=True)
class Controls:
    """How to paint, apart from the style; the defaults change nothing.

    Raises:
        InputError: A value is out of range.
    """

    strength: float = 1.0
    """0 is the photo, 1 the painting."""
    detail: float | None = None
    """Share of what the codec loses of the photo that is given back, in [0, 1]; None: what the
    model's configuration says, and nothing in :func:`paint`, which knows no model."""
    preserve_color: bool = False
    """Whether the colours stay the photo's."""
    style_scale: float = 1.0
    """Size of the strokes, as a factor: 2 paints at half the size and enlarges the result."""
    max_side: int | None = None
    """The picture is shrunk to this longest side first, in pixels."""
    repulsion: float = 0.0
    """Strength of the push away from the source's own style, at least 0."""
    tile: int | None = None
    """Side of tiles in pixels; 0: never cut; None: chosen."""

    def __post_init__(self) -> None:
        low, high = STYLE_SCALES
        _check(0 <= self.strength <= 1, "strength", "must be 0 to 1", self.strength)
        _check(
            self.detail is None or 0 <= self.detail <= 1, "detail", "must be 0 to 1", self.detail
        )
        _check(
            low <= self.style_scale <= high,
            "style_scale",
            f"must be {low:g} to {high:g}",
            self.style_scale,
        )
        _check(
            self.max_side is None or self.max_side >= 1,
            "max_side",
            "must be at least 1 pixel",
            self.max_side,
        )
        _check(0 <= self.repulsion < math.inf, "repulsion", "must be at least 0", self.repulsion)
        _check(
            self.tile is None or self.tile == 0 or self.tile >= MIN_TILE,
            "tile",
            f"must be 0 (never cut) or at least {MIN_TILE} pixels",
            self.tile,
        )

    @property
    def codec_tile(self) -> int:
        """Side in pixels of the codec's tiles; huge where nothing is to be cut."""
        chosen = AUTO_TILE if self.tile is None else self.tile
        return chosen or 2**30


def _check(is_right: bool, name: str, rule: str, seen: object) -> None:
    if not is_right:
        raise InputError(f"{name} {rule} (got {seen})")


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
    controls: Controls,
    *,
    codec: LatentCodec,
    transfer: Transfer,
    mask: Image.Image | None = None,
    detail_mask: Image.Image | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Image.Image:
    """Paint a picture; the result has its size (after `max_side`), its alpha and its dpi.

    Args:
        image: Of any mode; upright RGB, or RGBA where it has transparency, is what counts.
        controls: How to paint.
        codec: Pictures to latents and back.
        transfer: Latents to stylised latents.
        mask: White: painted, black: the photo; stretched to the picture.
        detail_mask: Where `controls.detail` applies; None: everywhere.
        device: Where `transfer` takes its latents.
        progress: Is told the fraction done.
    """
    report = progress or (lambda _: None)
    report(0.0)
    picture = limit_side(to_rgb(image, keep_alpha=True), controls.max_side)
    if controls.strength == 0:
        report(1.0)
        return picture
    flat = to_rgb(picture)
    photo = to_tensor(flat)
    small = _working_picture(flat, controls.style_scale)
    near = photo if small is flat else to_tensor(small)
    detail: float | Tensor = controls.detail or 0.0
    if detail_mask is not None:
        detail = detail * mask_tensor(detail_mask, small.size)
    result = paint_tensor(
        photo,
        controls,
        near=near,
        detail=detail,
        codec=codec,
        transfer=transfer,
        device=device,
        progress=part_of(report, 0.0, 0.95),
    )
    if mask is not None:
        photo.lerp_(result, mask_tensor(mask, flat.size))
        result = photo
    painted = to_image(result)
    if picture.mode != "RGB":
        painted = _with_alpha(painted, picture)
    painted.info = dict(picture.info)  # The resolution.
    report(1.0)
    return painted


def paint_tensor(
    photo: Float[Tensor, "B 3 H W"],
    controls: Controls,
    *,
    near: Float[Tensor, "B 3 h w"],
    detail: float | Tensor,
    codec: LatentCodec,
    transfer: Transfer,
    device: torch.device | str = "cpu",
    progress: Progress = lambda _: None,
) -> Float[Tensor, "B 3 H W"]:
    """Paint pictures of one size; of `controls`, all but `max_side` and `detail` count.

    Args:
        photo: RGB in [0, 1].
        controls: How to paint.
        near: The pictures at the working size; `photo` itself where that is the same.
        detail: Share of the lost detail that is given back, one or a map of the working size.
        codec: Pictures to latents and back.
        transfer: Latents to stylised latents.
        device: Where `transfer` takes its latents.
        progress: Is told the fraction done.
    """
    weight = residual_weight(controls.strength, detail)
    result = _paint_pixels(near, controls, weight, codec, transfer, device, progress)
    if near is not photo:
        result = enlarge(result, near, photo, weight)
    if controls.preserve_color:
        for rows in _strips(photo):
            result[rows] = keep_chroma(result[rows], photo[rows])
    return result


def residual_weight(strength: float, detail: float | Tensor) -> float | Tensor:
    """Return d = 1 - s (1 - detail), the share of `photo - decode(encode(photo))` to add.

    At s = 0 it is 1, so that the result is the photo whatever the codec loses; at s = 1 it is
    `detail`. That is for brightness; of colours only 1 - s comes back, as the palette is the
    style's.
    """
    return 1 - strength * (1 - detail)


def _paint_pixels(
    photo: Float[Tensor, "1 3 H W"],
    controls: Controls,
    weight: float | Tensor,
    codec: LatentCodec,
    transfer: Transfer,
    device: torch.device | str,
    progress: Progress,
) -> Float[Tensor, "1 3 H W"]:
    """Return `decode(x_s)` and what comes back of `photo - decode(x_src)`.

    `x_s = x_src + s (x_1 - x_src)`; :func:`residual_weight` says how much comes back.
    """
    height, width = photo.shape[-2:]

    def tiled(low: float, high: float) -> TiledCodec:
        return TiledCodec(codec, controls.codec_tile, part_of(progress, low, high))

    multiple = codec.spec.downscale
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = F.pad(photo, padding, mode="replicate") if any(padding) else photo
    needs_residual = bool(torch.as_tensor(weight).gt(0).any())
    x_src = encode_image(tiled(0.0, 0.25), padded, device)
    x_s = transfer(x_src, part_of(progress, 0.25, 0.6))
    if controls.strength < 1:
        x_s = x_src + controls.strength * (x_s - x_src)
    half = 0.8 if needs_residual else 1.0
    result = decode_latent(tiled(0.6, half), x_s)[..., :height, :width]
    if needs_residual:
        residual = decode_latent(tiled(half, 1.0), x_src)[..., :height, :width]
        residual.neg_().add_(photo)
        color = 1 - controls.strength
        result.add_(luma(residual).mul_(weight - color))
        result.add_(residual.mul_(color)).clamp_(0, 1)
    return result


def _working_picture(image: Image.Image, scale: float) -> Image.Image:
    """Return the picture at 1 / scale of its size, itself where that changes nothing."""
    size = working_size(image.size, scale)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def working_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the size in which a picture is painted: 1 / scale of its own.

    Raises:
        InputError: It would be too large.
    """
    if scale == 1:
        return size
    size = max(1, round(size[0] / scale)), max(1, round(size[1] / scale))
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"style_scale {scale:g} would paint {size[0]} x {size[1]} pixels, more than "
            f"{MAX_PIXELS}; use a larger one, or max_side"
        )
    return size


def enlarge(
    result: Float[Tensor, "1 3 h w"],
    near: Float[Tensor, "1 3 h w"],
    photo: Float[Tensor, "1 3 H W"],
    weight: float | Tensor = 0.0,
) -> Float[Tensor, "1 3 H W"]:
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

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, 5, stride=1, padding=2, count_include_pad=False)

    covariance = mean(x * y) - mean(x) * mean(y)
    variance = mean(x * x) - mean(x).square()
    slope = (covariance / (variance + 1e-4)).clamp(0, 1)
    gain = slope + weight * (1 - slope)
    size = photo.shape[-2:]
    full = resize(near, size).neg_().add_(photo)
    full *= F.interpolate(gain, size, mode="bilinear")
    return full.add_(resize(result, size)).clamp_(0, 1)


def resize(image: Float[Tensor, "B C H W"], size: Sequence[int]) -> Float[Tensor, "B C h w"]:
    """Scale pictures to a height and width, bicubic; smooth where they become smaller."""
    return F.interpolate(image, tuple(size), mode="bicubic", antialias=True)


def _strips(image: Tensor) -> list[tuple[slice, slice, slice]]:
    """Return index ranges that cut a picture into strips of rows."""
    every = slice(None)
    rows = range(0, image.shape[-2], STRIP)
    return [(every, every, slice(row, row + STRIP)) for row in rows]


def _with_alpha(painted: Image.Image, picture: Image.Image) -> Image.Image:
    """Take white paper off again: the colours C with `C a + 1 - a = painted`, and the alpha a."""
    rgba = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    pixels = rgba.reshape(picture.height, picture.width, 4).permute(2, 0, 1).float().div_(255)
    alpha, result = pixels[3:], to_tensor(painted)[0]
    colors = torch.where(alpha > 0, (result - 1 + alpha) / alpha.clamp(min=1 / 255), pixels[:3])
    image = to_image(colors)
    image.putalpha(picture.getchannel("A"))
    return image
