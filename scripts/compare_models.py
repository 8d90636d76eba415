"""Draw what several models make of the same photographs: models down, photographs across.

    python scripts/compare_models.py before=old.safetensors now=embedded --style ukiyoe \\
        --out docs/pictures/research_ukiyoe.jpg

The photographs are scikit-image's (extra `demo`), cut to squares, or those of `--photos`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from skimage import data

from lgt.image import IMAGE_SUFFIXES, contact_sheet, open_image, resize_and_crop, save_image
from lgt.inference import LGTInference

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def photographs(folder: Path | None, side: int) -> dict[str, Image.Image]:
    """Return squares of a folder's photographs, or of scikit-image's, by name."""
    if folder is None:
        found = {name: Image.fromarray(getattr(data, name)()) for name in PHOTOS}
    else:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        found = {path.stem: open_image(path) for path in paths}
    return {name: resize_and_crop(image, side) for name, image in found.items()}


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--style", required=True)
    parser.add_argument("--photos", type=Path, help="folder of photographs [scikit-image's]")
    parser.add_argument("--work_side", type=int, default=256, help="painted at, pixels [256]")
    parser.add_argument("--side", type=int, default=192, help="pixels of a picture [192]")
    parser.add_argument("--quality", type=int, default=80, help="of JPEG [80]")
    parser.add_argument("--out", type=Path, default=Path("models.jpg"))
    args = parser.parse_args()
    photos = photographs(args.photos, args.work_side)
    rows = {"photo": list(photos.values())}
    for entry in args.models:
        name, _, model = entry.rpartition("=")
        lgt = LGTInference(model, "cpu")
        codec = lgt.load_codec()
        rows[name or model] = [
            lgt.stylize(photo, args.style, codec=codec, seed=0) for photo in photos.values()
        ]
    size = (args.side, args.side)
    small = [[p.resize(size, Image.Resampling.LANCZOS) for p in row] for row in rows.values()]
    save_image(contact_sheet(small, list(rows), list(photos)), args.out, quality=args.quality)
    print(f"{args.out}: {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
