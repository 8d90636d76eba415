"""Paint the pictures of the first page and of docs/gallery.md: `make gallery`.

    python scripts/make_gallery.py

Photographs that come with scikit-image and may be shown (docs/gallery.md names their authors and
licences) are painted in every style of the model inside the package. Written are
`docs/pictures/first.jpg`, `docs/pictures/gallery_*.jpg` and `docs/gallery.md`, so that a new model
needs this one command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from skimage import data

from lgt.image import save_image, to_rgb
from lgt.inference import LGTInference

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
WIDTH = 1200
"""Of a sheet, in pixels."""
GAP, TEXT = 6, 22


@dataclass(frozen=True)
class Photo:
    """A photograph of scikit-image's wheel."""

    name: str
    title: str
    credit: str
    box: tuple[float, float, float, float]
    """What is shown of it, 3 to 2, in parts of its sides: left, top, right, bottom."""

    def open(self) -> Image.Image:
        """Return the part that is shown."""
        picture = to_rgb(Image.fromarray(getattr(data, self.name)()))
        left, top, right, bottom = self.box
        w, h = picture.size
        return picture.crop((round(left * w), round(top * h), round(right * w), round(bottom * h)))


PHOTOS = (
    Photo("coffee", "A still life", "Rachel Michetti, CC0", (0, 0, 1, 1)),
    Photo("astronaut", "A face", "NASA, public domain", (0, 0, 1, 2 / 3)),
    Photo("chelsea", "An animal", "Stefan van der Walt, CC0", (0, 0, 1, 1)),
    Photo("rocket", "A sky", "SpaceX, public domain", (0, 0, 1, 1)),
)
CONTROLS = {
    "strength": (
        "Strength 0.5 and 1; the style's colours alone; the photo's",
        "strength-and-colour",
    ),
    "refine": ("A photo; as the network paints it; refined by 10 steps", "refining"),
    "detail": ("Detail 0, 0.5 and 1; detail 1 in the face only", "detail"),
    "blend": ("From ukiyoe to vangogh in five steps", "mixtures-of-styles"),
    "mask": ("Painted inside a mask, outside it, and two styles", "masks-and-regions"),
    "scale": (
        "Four sizes of strokes, and the push away from the photo",
        "canvas-size-of-strokes-and-repulsion",
    ),
}
"""Pictures of `make_control_pictures.py`: what they show, and the part of docs/control.md."""
FIRST, LARGE = 1, ("vangogh", "monet")
"""The photograph of the first page, and the style shown large: the first of these there is."""


def tiles(rows: Sequence[Sequence[tuple[Image.Image, str]]], width: int = WIDTH) -> Image.Image:
    """Lay pictures of 3 to 2 out in rows of equal width, each with its name below."""
    heights, strips = [], []
    for row in rows:
        cell = (width - GAP * (len(row) - 1)) // len(row)
        strips.append(
            [(p.resize((cell, cell * 2 // 3), Image.Resampling.LANCZOS), n) for p, n in row]
        )
        heights.append(cell * 2 // 3 + TEXT + GAP)
    sheet = Image.new("RGB", (width, sum(heights)), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    font = ImageFont.load_default(TEXT - 6)
    for strip, height in zip(strips, heights, strict=True):
        left = 0
        for picture, name in strip:
            sheet.paste(picture, (left, top))
            draw.text((left + 2, top + picture.height + 2), name, "black", font)
            left += picture.width + GAP
        top += height
    return sheet


def rows_of(
    cells: Sequence[tuple[Image.Image, str]], columns: int
) -> list[list[tuple[Image.Image, str]]]:
    """Break cells into rows; what is left over makes a row of larger cells."""
    return [list(cells[i : i + columns]) for i in range(0, len(cells), columns)]


def page(styles: Sequence[str], size: str) -> str:
    """Return docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        "Four photographs in every style of the model inside the package, as they come from",
        f"`lgt transfer PHOTO pictures/ --style all` ({size}).",
        "`make gallery` makes this page.",
        "",
        f"Styles: {', '.join(styles)}.",
        "",
        "`lgt styles` lists them, and the [model card](../src/lgt/assets/model/README.md) says of",
        "what they were learned. Which option does what you want is in [options.md](options.md).",
        "",
    ]
    for photo in PHOTOS:
        lines += [
            f"## {photo.title}",
            "",
            f"![{photo.title} in every style](pictures/gallery_{photo.name}.jpg)",
            "",
            f"Photograph: scikit-image's `{photo.name}`, {photo.credit}.",
            "",
        ]
    lines += ["## What the options do", ""]
    for name, (text, part) in CONTROLS.items():
        lines += [f"![{text}](pictures/control_{name}.jpg)", ""]
        lines += [f"{text} ([more](control.md#{part})).", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder [docs]")
    parser.add_argument("--quality", type=int, default=77, help="of JPEG [77]")
    args = parser.parse_args()
    folder: Path = args.out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    lgt = LGTInference("embedded", "cpu")
    codec, styles = lgt.load_codec(), [n for n in lgt.style_names if n in lgt.painted_styles]

    def save(sheet: Image.Image, name: str) -> None:
        path = folder / name
        save_image(sheet, path, quality=args.quality)
        sys.stdout.write(f"{path}: {sheet.width} x {sheet.height}, {path.stat().st_size} bytes\n")
        sys.stdout.flush()

    sizes = []
    for index, photo in enumerate(PHOTOS):
        source = photo.open()
        sizes.append(f"{source.width} x {source.height}")
        painted = {n: lgt.stylize(source, n, codec=codec, seed=0) for n in styles}
        cells = [(source, "photo"), *((picture, name) for name, picture in painted.items())]
        save(tiles(rows_of(cells, 2)), f"gallery_{photo.name}.jpg")
        if index == FIRST:
            large = next((name for name in LARGE if name in painted), styles[0])
            rest = [(picture, name) for name, picture in painted.items() if name != large]
            top = [(source, "photo"), (painted[large], large)]
            save(tiles([top, *rows_of(rest, 3)]), "first.jpg")
    text = page(styles, f"{', '.join(sizes)} pixels")
    (args.out / PAGE.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
