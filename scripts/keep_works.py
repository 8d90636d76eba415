"""Let a trained model keep how its works look, which `lgt transfer --refine` needs.

    python scripts/keep_works.py checkpoints/latest.pt kept.pt --works_root data/raw

Models that `lgt train` of this version made have it already. `--works_root` holds a folder of
pictures for each style, as `lgt preprocess` read them; they are looked at as a training does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from lgt.build import DECODED_SCALE, build_perceptual_network
from lgt.build.energy import works_afar
from lgt.data.clips import PictureWorks, pictures_in
from lgt.data.source_pictures import Squares
from lgt.energy import CollectionDistance
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn.decoded import DecodedFeatures


def looked_at(checkpoint: Checkpoint, works_root: Path) -> WorksGaussians:
    """Return the Gaussians of the works of a model's styles."""
    config, names = checkpoint.config, checkpoint.style_names
    features = build_perceptual_network(config, checkpoint.codec)
    if not isinstance(features, DecodedFeatures):
        raise InputError("this model was trained without loss.perceptual_network=decoded")
    sources = config.data.source_subdirs
    with Progress() as progress:
        task = progress.add_task("works")
        works = PictureWorks(
            features.features_of_pictures,
            pictures_in(works_root, names),
            Squares(checkpoint.latent_shape[-1] * DECODED_SCALE),
            config.loss.feature_crop * DECODED_SCALE,
            margin=config.loss.works_margin,
            counted=lambda done, total: progress.update(task, completed=done, total=total),
        )
        near = CollectionDistance(
            works.clips(),
            num_styles=len(names),
            origin=names.index(sources[0]) if sources else 0,
            memory=1,
            num_branches=features.num_branches,
        ).works
        progress.reset(task, description="works from afar")
        return replace(near, afar=works_afar(features, works, len(names)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="checkpoint of `lgt train`, or `embedded`")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt)")
    parser.add_argument("--works_root", type=Path, required=True, help="folder of the works")
    args = parser.parse_args(arguments)
    checkpoint = Checkpoint.load(find_model(args.model))
    replace(checkpoint, works=looked_at(checkpoint, args.works_root)).save(args.out)


if __name__ == "__main__":
    main()
