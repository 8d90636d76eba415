"""Measure how well each part of the style energy tells styles apart, on held-out works.

    python benchmarks/style_separation.py --model CHECKPOINT --works data/val

For each part it prints one JSON line: the mean distance of a single photo to a style's works, the
mean distance of a single work of that style to the others, and their ratio. A part whose ratio is
near 1 can not say what is particular to a style, however much it weighs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from torch import Generator, Tensor

from lgt.data.dataset import LatentDataset
from lgt.energy import FeatureSWD, PatchSWD, StyleBank, texture_whitening
from lgt.train import Checkpoint

Term = Callable[[Tensor, Tensor, Generator], Tensor]


def build_terms(checkpoint: Checkpoint, sample: Tensor) -> dict[str, Term]:
    """Return the parts to compare; features only if the checkpoint has them."""
    terms: dict[str, Term] = {"raw 3 x 3 patches": PatchSWD(patch_size=3)}
    for dilation in (1, 2, 4):
        transform = texture_whitening(sample, 3, dilation)
        name = f"whitened texture, dilation {dilation}"
        terms[name] = PatchSWD(patch_size=3, dilation=dilation, transform=transform)
    features = checkpoint.build_style_features()
    if features is not None:
        terms["learned features"] = FeatureSWD(features.features, sample)
    return terms


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="checkpoint")
    parser.add_argument("--works", required=True, help="folder of held-out latents")
    parser.add_argument("--photos", default="photo", help="style that the photos have [photo]")
    parser.add_argument("--count", type=int, default=20, help="works of each style, at most [20]")
    args = parser.parse_args()
    checkpoint = Checkpoint.load(args.model)
    channels = checkpoint.config.model.latent_channels
    dataset = LatentDataset.from_config(args.works, checkpoint.style_names, channels)
    bank = StyleBank(dataset.latents, dataset.style_ids, dataset.num_styles)
    generator = Generator().manual_seed(0)
    photo_id = dataset.style_names.index(args.photos)
    photos = bank.works(photo_id, args.count, generator)
    terms = build_terms(checkpoint, bank.balanced(args.count, generator))
    for name, term in terms.items():
        ratios = []
        for style_id, style in enumerate(dataset.style_names):
            if style_id == photo_id:
                continue
            works = bank.works(style_id, args.count, generator)
            halves = works[: len(works) // 2], works[len(works) // 2 :]
            between = float(term(photos[:, None], halves[1][None], generator).mean())
            within = float(term(halves[0][:, None], halves[1][None], generator).mean())
            ratios.append(between / within)
            line = {"part": name, "style": style, "photo": between, "own": within}
            print(json.dumps({**line, "ratio": round(between / within, 2)}))
        print(json.dumps({"part": name, "mean_ratio": round(sum(ratios) / len(ratios), 2)}))


if __name__ == "__main__":
    main()
