"""Measure how well each part of the style energy tells styles apart, on held-out works.

    python benchmarks/style_separation.py --works data/val --styles photo monet ukiyoe

For each part it prints one JSON line: the mean distance of a single photo to a style's works, the
mean distance of a single work of that style to the others, and their ratio. A part whose ratio is
near 1 can not say what is particular to a style, however much it weighs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lgt.data.dataset import LatentDataset
from lgt.energy import FeatureSWD, PatchSWD, StyleBank, texture_whitening
from lgt.nn import load_perceptual_network

Distance = Callable[[Tensor, Tensor, Generator], float]
"""Mean distance of single pictures, by their rows in the bank, to works pooled."""


def build_distances(bank: StyleBank, sample: Tensor) -> dict[str, Distance]:
    """Return the parts to compare."""

    def of_patches(term: PatchSWD) -> Distance:
        return lambda x, y, generator: float(
            term(bank.take(x[:, None]), bank.take(y[None]), generator).mean()
        )

    parts = {"raw 3 x 3 patches": of_patches(PatchSWD(patch_size=3))}
    for dilation in (1, 2, 4):
        transform = texture_whitening(sample, 3, dilation)
        name = f"whitened texture, dilation {dilation}"
        parts[name] = of_patches(PatchSWD(patch_size=3, dilation=dilation, transform=transform))
    network = load_perceptual_network()
    feature = FeatureSWD(network.features, bank)

    @torch.no_grad()
    def of_features(x: Tensor, y: Tensor, generator: Generator) -> float:
        return float(feature(network.features(bank.take(x)).style, y[None], generator).mean())

    return {**parts, "perceptual features": of_features}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", nargs="+", required=True, help="style folders, photos included")
    parser.add_argument("--works", required=True, help="folder of held-out latents")
    parser.add_argument("--photos", default="photo", help="style that the photos have [photo]")
    parser.add_argument("--count", type=int, default=20, help="works of each style, at most [20]")
    args = parser.parse_args()
    dataset = LatentDataset.from_config(args.works, args.styles, 4)
    bank = StyleBank(dataset.latents, dataset.style_ids, dataset.num_styles)
    generator = Generator().manual_seed(0)
    photo_id = dataset.style_names.index(args.photos)
    photos = bank.rows(photo_id, args.count, generator)
    distances = build_distances(bank, bank.balanced(args.count, generator))
    for name, distance in distances.items():
        ratios = []
        for style_id, style in enumerate(dataset.style_names):
            if style_id == photo_id:
                continue
            works = bank.rows(style_id, args.count, generator)
            halves = works[: len(works) // 2], works[len(works) // 2 :]
            between = distance(photos, halves[1], generator)
            within = distance(halves[0], halves[1], generator)
            ratios.append(between / within)
            line = {"part": name, "style": style, "photo": between, "own": within}
            print(json.dumps({**line, "ratio": round(between / within, 2)}))
        print(json.dumps({"part": name, "mean_ratio": round(sum(ratios) / len(ratios), 2)}))


if __name__ == "__main__":
    main()
