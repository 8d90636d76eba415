"""Measure how far refining goes down the energy, by steps and by Adam's constants.

    python benchmarks/refining.py PHOTO... --styles vangogh,ukiyoe --steps 3 10

prints a JSON line for each number of steps: the energy of the refined pictures near by and from
afar and its parts, style and content, as means over photos and styles; and the seconds of a
picture. The first line, 0 steps, is what the network reaches. `--optimizer` leaves the learned
steps out; `--rates` and `--betas` take the place of the constants of `lgt.energy.descent`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from lgt.build.descent import build_picture_energy
from lgt.energy import descent
from lgt.image import limit_side, open_image
from lgt.inference import LGTInference
from lgt.paint.refine import Refiner

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


def measuring(
    refined: Callable[..., Tensor], steps: int, found: list[dict[str, float]]
) -> Callable[..., Tensor]:
    """Return what refines so many steps, and appends the energy of the end and the seconds."""

    def measured(self: Refiner, *given: Any) -> Tensor:
        end: Tensor = given[0]
        _, source, style, photo, refinement, generator, _ = given
        _ = self.features, self.step  # Loaded before the clock runs.
        began = time.perf_counter()
        if steps:
            end = refined(self, *given[:4], replace(refinement, steps=steps), *given[5:])
        seconds = time.perf_counter() - began
        origin = self.works_of((self.origin,))
        energy = build_picture_energy(
            self.lgt.config, self.features, style, origin, photo, detail=refinement.detail
        )
        found.append({**energy_of(energy, end, source, generator), "seconds": seconds})
        return end

    return measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--styles", default="vangogh,ukiyoe", help="separated by commas")
    parser.add_argument("--steps", nargs="+", type=int, default=[3, 10])
    parser.add_argument("--side", type=int, default=560, help="longest side, pixels")
    parser.add_argument("--rates", nargs=2, type=float, help="also after learned steps")
    parser.add_argument("--betas", nargs=2, type=float, default=list(descent.BETAS))
    parser.add_argument("--optimizer", action="store_true", help="no learned steps")
    parser.add_argument("--model", default="embedded")
    args = parser.parse_args()
    if args.rates:
        descent.RATE, descent.LAST_RATE = args.rates
        descent.NEAR_RATE = descent.RATE
    descent.BETAS = tuple(args.betas)
    lgt = LGTInference(args.model, "cpu")
    if args.optimizer:
        Refiner.step = None  # type: ignore[assignment]
    refined = Refiner.refined
    codec, photos = lgt.load_codec(), [limit_side(open_image(p), args.side) for p in args.photos]
    for steps in (0, *args.steps):
        found: list[dict[str, float]] = []
        Refiner.refined = measuring(refined, steps, found)  # type: ignore[method-assign]
        for photo in photos:
            for style in args.styles.split(","):
                lgt.stylize(photo, style, codec=codec, seed=0, refine=1)
        keys = dict.fromkeys(key for row in found for key in row)  # Small photos have no afar.
        columns = {key: [row[key] for row in found if key in row] for key in keys}
        means = {key: round(statistics.fmean(column), 3) for key, column in columns.items()}
        print(json.dumps({"steps": steps, **means}), flush=True)


if __name__ == "__main__":
    main()
