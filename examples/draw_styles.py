"""Draw works of one style from random scenes: broad dabs of a brush in cool paint.

Each picture is a landscape made of noise (sky, sun, ranges of hills, water or fields), rendered
by hand-like marks. The same seed draws the same pictures. Only numpy and Pillow are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float64]
Rng = np.random.Generator
Palettes = tuple[tuple[tuple[int, int, int], ...], ...]

SUPERSAMPLING = 2
BRISTLES = np.linspace(-0.5, 0.5, 4)
# sky low, sky high, sun, far hills, near hills, ground: sRGB in 0..255
PAINT_PALETTES = (
    ((120, 170, 230), (30, 50, 150), (255, 235, 140), (80, 70, 170), (20, 120, 150), (60, 40, 130)),
    ((170, 120, 210), (50, 40, 140), (255, 220, 110), (40, 90, 180), (20, 60, 120), (110, 50, 150)),
    ((110, 200, 210), (25, 90, 180), (255, 250, 190), (50, 110, 190), (90, 60, 160), (30, 50, 120)),
    ((190, 140, 220), (24, 60, 140), (255, 214, 96), (34, 140, 170), (120, 50, 140), (30, 80, 130)),
)


@dataclass(frozen=True)
class Scene:
    """A landscape: what is where, and which way its forms run."""

    color: Array
    """`[H, W, 3]` in 0..255."""
    darkness: Array
    """`[H, W]` from 0 (light) to 1 (dark)."""
    angle: Array
    """`[H, W]` direction of the marks, in radians."""


def noise(rng: Rng, size: int, cells: int, octaves: int = 3) -> Array:
    """Return smooth noise `[size, size]` of mean about 0 and range about -1 to 1."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        grid = rng.uniform(-1, 1, (cells * 2**octave + 1,) * 2).astype(np.float32)
        layer = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float64) / 2**octave
    return total / 1.5


def draw_scene(rng: Rng, size: int, palettes: Palettes) -> Scene:
    """Compose sky, sun, two to four ranges of hills and a foreground."""
    palette = np.array(palettes[rng.integers(len(palettes))], dtype=np.float64)
    low, high, sun, far, near, ground = palette
    y, x = np.mgrid[0:size, 0:size] / size
    wobble = noise(rng, size, 3)
    horizon = rng.uniform(0.4, 0.6)
    depth = np.clip(y / horizon + 0.15 * wobble, 0, 1)[..., None]
    color = high * (1 - depth) + low * depth
    darkness = 0.55 - 0.5 * depth[..., 0]
    center = rng.uniform([0.2, 0.12], [0.8, horizon * 0.8])
    distance = np.hypot(x - center[0], y - center[1])
    # The sky turns around the sun, the ground runs along its hills.
    angle = np.arctan2(y - center[1], x - center[0]) + np.pi / 2 + 0.7 * wobble
    glow = np.exp(-((distance / 0.22) ** 2))[..., None]
    color = color * (1 - glow) + sun * glow
    disc = distance < rng.uniform(0.06, 0.1)
    color[disc], darkness[disc] = sun, 0.0
    darkness = darkness * (1 - glow[..., 0])

    count = int(rng.integers(2, 5))
    for index in range(count):
        nearness = (index + 1) / count
        base = horizon + (1 - horizon) * 0.75 * index / count
        profile = noise(rng, size, int(rng.integers(2, 5)))[0] * (0.16 - 0.08 * nearness)
        below = y - (base + profile[None, :])
        inside = below > 0
        shade = far * (1 - nearness) + (near if index % 2 else ground) * nearness
        light = 0.8 * noise(rng, size, 6) + 0.5 * np.exp(-below / 0.05)
        layer = shade * (1 + 0.28 * light[..., None])
        color = np.where(inside[..., None], layer, color)
        tone = np.clip(0.35 + 0.4 * nearness - 0.35 * light, 0.05, 0.95)
        darkness = np.where(inside, tone, darkness)
        slope = np.gradient(profile) * size
        along = np.arctan(slope)[None, :] + 0.5 * wobble + 0.25 * (index - 1)
        angle = np.where(inside, along, angle)
    return Scene(np.clip(color, 0, 255), np.clip(darkness, 0, 1), angle)


def paint(rng: Rng, size: int) -> Image.Image:
    """Render a scene with curved brush dabs, broad ones first."""
    scene = draw_scene(rng, size, PAINT_PALETTES)
    scale = size * SUPERSAMPLING / 256
    background = Image.fromarray(scene.color.astype(np.uint8))
    canvas = background.resize((size * SUPERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    for count, width, length in ((250, 26, 60), (600, 15, 46), (800, 9, 34)):
        rows, columns = rng.integers(0, size, (2, count))
        colors = scene.color[rows, columns] * rng.normal(1, 0.09, (count, 1))
        colors = colors + rng.normal(0, 13, (count, 3))
        tints = colors[:, None, :] * (1 + rng.normal(0.35 * BRISTLES, 0.06, (count, 4))[..., None])
        lines = _dabs(scene.angle, rows, columns, width * scale, length * scale)
        for dab, shades in zip(lines, np.clip(tints, 0, 255).astype(int).tolist(), strict=True):
            for bristle, shade in zip(dab, shades, strict=True):
                draw.line(bristle, tuple(shade), max(1, round(width * scale / 2.6)), "curve")
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _dabs(
    angle: Array, rows: NDArray[np.int64], columns: NDArray[np.int64], width: float, length: float
) -> list[list[list[float]]]:
    """Follow the directions from many places at once.

    Returns:
        For each dab and bristle, the flat list of the line's coordinates x, y, x, y, ...
    """
    last = angle.shape[0] - 1
    point = np.stack([columns, rows], axis=1) * float(SUPERSAMPLING)
    path = [point]
    for _ in range(4):
        column, row = np.clip(point / SUPERSAMPLING, 0, last).astype(int).T
        way = angle[row, column]
        point = point + length / 4 * np.stack([np.cos(way), np.sin(way)], axis=1)
        path.append(point)
    along = path[-1] - path[0]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.hypot(across[:, :1], across[:, 1:]) + 1e-6
    offset = across[:, None, :] * BRISTLES[:, None] * width
    lines = np.stack(path, axis=1)[:, None] + offset[:, :, None]
    flat: list[list[list[float]]] = lines.reshape(len(rows), len(BRISTLES), -1).tolist()
    return flat


def draw_works(folder: Path, *, count: int = 12, width: int = 480, seed: int = 0) -> int:
    """Draw `count` works of the style of dabs, 3 to 2, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        work = paint(np.random.default_rng([seed, index]), width)
        work.crop((0, width // 6, width, width // 6 + width * 2 // 3)).save(
            folder / f"work{index:02d}.jpg", quality=90
        )
    return count
