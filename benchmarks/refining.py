"""Measure how far refining goes down the energy, by steps and by Adam's constants.

    python benchmarks/refining.py PHOTO... --styles vangogh,ukiyoe --steps 5 10 20

prints a JSON line for each number of steps: the energy of the refined pictures near by and from
afar and its parts, style and content, as means over photos and styles; and the seconds of a
descent. The first line, 0 steps, is what the network reaches. `--rates` and `--betas` take the
place of the constants of `lgt.energy.descent`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from lgt.energy import descent
from lgt.image import limit_side, open_image
from lgt.inference import LGTInference
from lgt.paint import refine

LOOKS = 3
"""Looks at the whole picture that its energy is the mean of."""


@torch.no_grad()
def energy_of(
    energy: descent.PictureEnergy, x: Tensor, x_src: Tensor, generator: Generator
) -> dict[str, float]:
    """Return the mean energy of an end state from each distance, and its parts."""
    means = dict[str, float]()
    for name, sight in zip(("near", "afar"), energy.sights, strict=False):
        found = []
        for _ in range(LOOKS):
            for corner in descent.windows_of(
                x.shape[-2], x.shape[-1], generator, side=sight.window
            ):
                row, column = corner.tolist()
                cut = ..., slice(row, row + sight.window), slice(column, column + sight.window)
                parts = x[cut], x_src[cut], corner[None]
                terms = descent.terms_of(sight.energy, *parts, generator)
                found.append([float(v) for v in (terms.total, terms.style, terms.content)])
        keys = (f"{name} energy", f"{name} style", f"{name} content")
        columns = zip(*found, strict=True)
        means |= dict(zip(keys, map(statistics.fmean, columns), strict=True))
    return means


def measured(
    descend: Callable[..., Tensor],
    steps: int,
    found: list[dict[str, float]],
    energy: descent.PictureEnergy,
    x_1: Tensor,
    x_src: Tensor,
    _: int,
    *,
    generator: Generator,
    **keys: Any,
) -> Tensor:
    """Descend, so many steps in the place of those asked for; append energy and seconds."""
    began = time.perf_counter()
    end = descend(energy, x_1, x_src, steps, generator=generator, **keys)
    seconds = time.perf_counter() - began
    found.append({**energy_of(energy, end, x_src, generator), "seconds": seconds})
    return end


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--styles", default="vangogh,ukiyoe", help="separated by commas")
    parser.add_argument("--steps", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--side", type=int, default=560, help="longest side, pixels")
    parser.add_argument("--rates", nargs=2, type=float, default=[descent.RATE, descent.LAST_RATE])
    parser.add_argument("--betas", nargs=2, type=float, default=list(descent.BETAS))
    parser.add_argument("--model", default="embedded")
    args = parser.parse_args()
    descent.RATE, descent.LAST_RATE = args.rates
    descent.BETAS = tuple(args.betas)
    lgt = LGTInference(args.model, "cpu")
    codec, descend = lgt.load_codec(), descent.descend
    photos = [limit_side(open_image(path), args.side) for path in args.photos]
    for steps in (0, *args.steps):
        found: list[dict[str, float]] = []
        refine.descend = partial(measured, descend, steps, found)  # type: ignore[attr-defined]
        for photo in photos:
            for style in args.styles.split(","):
                lgt.stylize(photo, style, codec=codec, seed=0, refine=1)
        keys = dict.fromkeys(key for row in found for key in row)  # Small photos have no afar.
        columns = {key: [row[key] for row in found if key in row] for key in keys}
        means = {key: round(statistics.fmean(column), 3) for key, column in columns.items()}
        print(json.dumps({"steps": steps, **means}), flush=True)


if __name__ == "__main__":
    main()
