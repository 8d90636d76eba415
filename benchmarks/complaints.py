"""Print the numbers of docs/complaints.md: what the options of a transfer change.

    python benchmarks/complaints.py

paints a photograph of scikit-image with the shipped model on PyTorch. "Difference" is the mean
absolute difference of two pictures, per channel, in levels of 255.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from skimage import data

from lgt.image import resize_and_crop
from lgt.inference import LGTInference

STYLE, OTHER = "vangogh", "monet"
BLEND = {STYLE: 0.6, OTHER: 0.4}


def difference(a: Image.Image, b: Image.Image, mode: str = "RGB") -> float:
    """Return the mean absolute difference, in levels of 255; of Cb and Cr alone for `CbCr`."""
    first, second = (
        np.asarray(x.convert("YCbCr" if mode == "CbCr" else mode), np.float64) for x in (a, b)
    )
    if mode == "CbCr":
        first, second = first[..., 1:], second[..., 1:]
    return float(np.abs(first - second).mean())


def empty_sky(side: int) -> Image.Image:
    """Return a smooth sky, lighter towards the ground, with nothing in it."""
    top, bottom = (np.array(c, np.float64) for c in ((120, 165, 220), (205, 220, 240)))
    share = np.linspace(0, 1, side)[:, None, None]
    rows = np.broadcast_to(top + share * (bottom - top), (side, side, 3))
    return Image.fromarray(np.rint(rows).astype(np.uint8))


def unevenness(image: Image.Image) -> float:
    """Return the deviation of the brightness from its surroundings' mean, in levels of 255."""
    grey, radius = image.convert("L"), image.width // 32
    smooth = grey.filter(ImageFilter.GaussianBlur(radius))
    rest = np.asarray(grey, np.float64) - np.asarray(smooth, np.float64)
    inside = slice(2 * radius, -2 * radius)
    return float(rest[inside, inside].std())


def rim(image: Image.Image) -> float:
    """Return by how much the outer columns of a sky differ from its middle, in levels of 255."""
    columns = np.asarray(image.convert("RGB"), np.float64)
    near, quarter = image.width // 48, image.width // 4
    middle = columns[:, quarter:-quarter].mean(1)
    sides = columns[:, :near].mean(1), columns[:, -near:].mean(1)
    return float(np.mean([np.abs(found - middle).mean() for found in sides]))


def measured(side: int) -> Iterator[tuple[str, str]]:
    """Yield each complaint and its numbers.

    Args:
        side: Width and height of the photograph, in pixels.
    """
    lgt = LGTInference(device="cpu")
    codec = lgt.load_codec()
    photo = resize_and_crop(Image.fromarray(data.astronaut()), side)

    def paint(style: Any = STYLE, image: Image.Image = photo, **options: Any) -> Image.Image:
        return lgt.stylize(image, style, codec=codec, **{"seed": 0, **options})

    plain = paint()
    styles = {name: paint(name) for name in lgt.painted_styles}
    pairs = [difference(styles[a], styles[b]) for a, b in combinations(styles, 2)]
    yield (
        "every style looks the same",
        f"{min(pairs):.1f} at least, {np.mean(pairs):.1f} on average",
    )
    wide = photo.crop((0, 0, side, side * 2 // 3 + 1))
    yield "only squares", f"{wide.size} gives {paint(image=wide).size}"
    strengths = [difference(photo, paint(strength=s)) for s in (0.0, 0.5, 1.0)]
    yield "strength 0, 0.5, 1: from the photo", ", ".join(f"{v:.1f}" for v in strengths)
    colors = [difference(photo, p, "CbCr") for p in (plain, paint(preserve_color=True))]
    yield "colours without and with preserve_color", " and ".join(f"{v:.2f}" for v in colors)
    mixed = paint(BLEND)
    ends = [difference(mixed, styles[name]) for name in BLEND]
    yield f"blend {BLEND}: from each", ", ".join(f"{v:.1f}" for v in ends)
    yield "the same again", f"{difference(plain, paint()):.1f}"
    sky = empty_sky(side)
    skies = {name: paint(name, sky) for name in styles}
    found = ", ".join(f"{name} {unevenness(seen):.1f}" for name, seen in skies.items())
    yield "what appears in an empty sky", f"{unevenness(sky):.1f} in the photo; {found}"
    bare = [paint(name, sky, canvas=0) for name in styles]
    rims = [[rim(seen) for seen in group] for group in (bare, skies.values())]
    yield (
        "a rim along that sky, with canvas 0 (no margin) and without",
        "; ".join(f"{np.mean(group):.1f} on average, {max(group):.1f} at most" for group in rims),
    )
    yield "repulsion 0.5", f"{difference(plain, paint(repulsion=0.5)):.1f}"
    details = [difference(photo, paint(detail=d), "L") for d in (0.0, 0.5, 1.0)]
    yield "detail 0, 0.5, 1: grey from the photo", ", ".join(f"{v:.1f}" for v in details)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=384, help="of the photograph, in pixels [384]")
    for name, text in measured(parser.parse_args().side):
        print(f"{name}: {text}", flush=True)


if __name__ == "__main__":
    main()
