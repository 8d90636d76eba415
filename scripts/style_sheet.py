"""Draw a contact sheet: photos down, styles across, with the controls that make it honest.

    python scripts/style_sheet.py checkpoints/latest.pt --photos PHOTOS --works WORKS

The first columns are the source and the codec's round trip; with `--works` (a folder with one
folder of works per style) the last row shows a random work of each style.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch

from lgt.codec import decode_latent, encode_image
from lgt.image import (
    IMAGE_SUFFIXES,
    contact_sheet,
    open_image,
    resize_and_crop,
    save_image,
    to_image,
    to_tensor,
)
from lgt.inference import LGTInference
from sheets import picture_file


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--works", type=Path, help="folder with one folder of works per style")
    parser.add_argument("--count", type=int, default=8, help="photos, drawn at random [8]")
    parser.add_argument("--size", type=int, default=256, help="side of a picture in pixels [256]")
    parser.add_argument("--styles", help="comma-separated names [all but the photos' own]")
    parser.add_argument("--num_steps", type=int, help="solver steps [the model's]")
    parser.add_argument("--cfg_scale", type=float, help="guidance scale; 1 is off [the model's]")
    parser.add_argument("--temperature_lambda", type=float, help="late noise [the model's]")
    parser.add_argument("--codec", help="image codec [the model's]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=picture_file, default=Path("sheet.png"), help="[sheet.png]")
    args = parser.parse_args()
    lgt = LGTInference(
        args.model,
        temperature_lambda=args.temperature_lambda,
        cfg_scale=args.cfg_scale,
        num_steps=args.num_steps,
    )
    codec = lgt.load_codec(args.codec)
    own = args.photos.name if args.photos.name in lgt.style_names else None
    names = args.styles.split(",") if args.styles else [n for n in lgt.style_names if n != own]
    generator = random.Random(args.seed)
    paths = pictures_in(args.photos)
    rows = []
    for path in generator.sample(paths, min(args.count, len(paths))):
        photo = resize_and_crop(open_image(path), args.size)
        x_src = encode_image(codec, to_tensor(photo))
        row = [photo, to_image(decode_latent(codec, x_src))]
        for name in names:
            with torch.inference_mode():
                row.append(lgt.stylize(photo, name, codec=codec, source_style=own, seed=args.seed))
        rows.append(row)
    labels = [""] * len(rows)
    if args.works:
        controls = [rows[0][0], rows[0][1]]
        for name in names:
            work = generator.choice(pictures_in(args.works / name))
            controls.append(resize_and_crop(open_image(work), args.size))
        rows.append(controls)
        labels.append("random work")
    save_image(contact_sheet(rows, labels, ["source", "codec round trip", *names]), args.out)
    print(args.out)


if __name__ == "__main__":
    main()
