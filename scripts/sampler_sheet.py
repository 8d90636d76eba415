"""Draw what the dials of the sampler do: photos in a style down, settings across.

    python scripts/sampler_sheet.py checkpoints/latest.pt --photos PHOTOS --styles ukiyoe,vangogh

Prints the mean difference of each setting's pictures from those of one step, in levels of 255, and
that of two seeds at the same temperature.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgt.image import (
    contact_sheet,
    open_image,
    pictures_among,
    resize_and_crop,
    save_image,
    visible_files,
)
from lgt.inference import LGTInference
from sheets import picture_file

QUIET: dict[str, Any] = {"temperature_lambda": 0.0, "use_cfg": False}
SETTINGS: dict[str, dict[str, Any]] = {
    "1 step": QUIET | {"num_steps": 1},
    "4": QUIET | {"num_steps": 4},
    "8": QUIET | {"num_steps": 8},
    "20": QUIET | {"num_steps": 20},
    "4, cfg 2": {"num_steps": 4, "temperature_lambda": 0.0, "cfg_scale": 2.0},
    "4, cfg 3": {"num_steps": 4, "temperature_lambda": 0.0, "cfg_scale": 3.0},
    "8, noise .1": QUIET | {"num_steps": 8, "temperature_lambda": 0.1},
    "8, noise .1, seed 1": QUIET | {"num_steps": 8, "temperature_lambda": 0.1},
    "8, noise .3": QUIET | {"num_steps": 8, "temperature_lambda": 0.3},
}
"""Changes of the sampler by the head of their column."""
SEEDED = ("8, noise .1", "8, noise .1, seed 1")


def main() -> None:
    """Draw the sheet and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--styles", required=True, help="comma-separated names")
    parser.add_argument("--count", type=int, default=2, help="photos, evenly spread [2]")
    parser.add_argument("--size", type=int, default=512, help="side of a picture in pixels [512]")
    parser.add_argument("--rescale", type=float, help="inference.cfg_rescale [the model's]")
    parser.add_argument(
        "--out", type=picture_file, default=Path("sampler.png"), help="[sampler.png]"
    )
    args = parser.parse_args()
    lgt = LGTInference(args.model)
    codec = lgt.load_codec(None)
    paths = sorted(pictures_among(visible_files(args.photos)))
    chosen = [paths[i * len(paths) // args.count] for i in range(args.count)]
    rows, labels = [], []
    differences: dict[str, list[float]] = {name: [] for name in SETTINGS}
    seeds: list[float] = []
    for path in chosen:
        photo = resize_and_crop(open_image(path), args.size)
        for style in args.styles.split(","):
            made = {}
            for name, changes in SETTINGS.items():
                sampler = lgt.sampler.changed(cfg_rescale=args.rescale, **changes)
                seed = int(name.endswith("seed 1"))
                made[name] = lgt.stylize(
                    photo, style, codec=codec, sampler=sampler, seed=seed, canvas=0
                )
                differences[name].append(difference(made[name], made["1 step"]))
            seeds.append(difference(*(made[name] for name in SEEDED)))
            rows.append([photo, *made.values()])
            labels.append(style)
    save_image(contact_sheet(rows, labels, ["photo", *SETTINGS]), args.out)
    for name, values in differences.items():
        print(f"{name}: {statistics.mean(values):.1f} levels from one step")
    print(f"two seeds at noise .1: {statistics.mean(seeds):.1f} levels from one another")
    print(args.out)


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two pictures, in levels of 255."""
    pair = (np.asarray(picture, np.float32) for picture in (first, second))
    return float(np.abs(next(pair) - next(pair)).mean())


if __name__ == "__main__":
    main()
