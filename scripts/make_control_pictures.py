"""Draw the pictures of docs/control.md from scikit-image's photographs.

    python scripts/make_control_pictures.py

writes `docs/pictures/control_*.jpg`, a few rows of small results each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from skimage import data

from lgt.image import contact_sheet, resize_and_crop, save_image, soft_mask
from lgt.inference import LGTInference
from lgt.paint.compose import layered

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def photo(name: str, side: int) -> Image.Image:
    """Return the centre of a photograph of scikit-image."""
    return resize_and_crop(Image.fromarray(getattr(data, name)()), side)


def oval(side: int, box: tuple[float, float, float, float]) -> Image.Image:
    """Return a white ellipse on black; the box is in parts of the side."""
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse([side * v for v in box], fill=255)
    return mask


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder [docs/pictures]")
    parser.add_argument("--side", type=int, default=192, help="pixels of a picture [192]")
    parser.add_argument("--work_side", type=int, default=384, help="painted at, pixels [384]")
    parser.add_argument("--quality", type=int, default=75, help="of JPEG [75]")
    args = parser.parse_args()
    lgt = LGTInference("embedded", "cpu")
    codec, work = lgt.load_codec(), args.work_side
    astronaut, coffee, cat = (photo(n, work) for n in ("astronaut", "coffee", "chelsea"))

    def painted(image: Image.Image, style: Any, **options: Any) -> Image.Image:
        return lgt.stylize(image, style, codec=codec, seed=0, **options)

    face = soft_mask(oval(work, (0.28, 0.0, 0.6, 0.5)), (work, work), feather=12)
    eyes = soft_mask(oval(work, (0.15, 0.1, 0.9, 0.95)), (work, work), feather=16)
    rows: dict[str, dict[str, Image.Image]] = {
        "strength": {
            "photo": coffee,
            **{f"strength {s}": painted(coffee, "vangogh", strength=s) for s in (0.5, 1.0)},
            "color 0": painted(coffee, "vangogh", color=0.0),
            "preserve_color": painted(coffee, "vangogh", preserve_color=True),
        },
        "detail": {
            "photo": astronaut,
            "detail 0": painted(astronaut, "monet", detail=0.0),
            "detail 0.5": painted(astronaut, "monet", detail=0.5),
            "detail 1": painted(astronaut, "monet", detail=1.0),
            "detail 1, face": painted(astronaut, "monet", detail=1.0, detail_mask=face),
        },
        "blend": {
            f"ukiyoe {1 - w:g}, vangogh {w:g}": painted(cat, {"ukiyoe": 1 - w, "vangogh": w})
            for w in (0.0, 0.25, 0.5, 0.75, 1.0)
        },
        "scale": {
            f"style_scale {s:g}": painted(astronaut, "vangogh", style_scale=s)
            for s in (0.5, 1.0, 1.5, 2.0)
        }
        | {"repulsion 0.7": painted(astronaut, "vangogh", repulsion=0.7)},
        "mask": {
            "photo": cat,
            "mask": eyes.convert("RGB"),
            "masked": painted(cat, "vangogh", mask=eyes),
            "inverted": painted(cat, "vangogh", mask=soft_mask(eyes, cat.size, invert=True)),
            "regions": layered(painted(cat, "ukiyoe"), [(painted(cat, "vangogh"), eyes)]),
        },
    }
    sides = dict.fromkeys(rows, args.side)
    # Strokes are seen at the size of the painting alone.
    rows["refine"] = {
        "photo": coffee,
        "vangogh": painted(coffee, "vangogh"),
        **{f"refine {n}": painted(coffee, "vangogh", refine=n) for n in (3, 10)},
    }
    sides["refine"] = work
    for name, cells in rows.items():
        size = sides[name], sides[name]
        small = [cell.resize(size, Image.Resampling.LANCZOS) for cell in cells.values()]
        sheet = contact_sheet([small], (), list(cells))
        path = args.out / f"control_{name}.jpg"
        save_image(sheet, path, quality=args.quality)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
