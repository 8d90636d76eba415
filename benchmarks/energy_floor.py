"""Compare a network with the floor: direct descent of the energy on the latents themselves.

    python benchmarks/energy_floor.py --config config.json --photos data/val --model CHECKPOINT \\
        --out floor
    lgt evaluate floor/network floor/descent --photos data/val --styles works/val

For every other style it prints one JSON line each for three states of some photos: the photos
themselves, the network's outputs (with `--model`) and the end of Adam's descent. The descent is the
least energy that a network could hope for; the difference to the network's is what amortisation
costs. `--out` writes both as folders of results.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import torch
from torch import Generator, Tensor

from lgt.build import DECODED_SCALE, build_bank, build_energy, build_perceptual_network
from lgt.codec import decode_latent, encode_image, load_codec
from lgt.config import Config, load_config
from lgt.data.dataset import LatentDataset
from lgt.data.source_pictures import GivenPictures
from lgt.device import works_in_bf16
from lgt.energy import Collection, EnergyTerms, FreeEnergy
from lgt.image import (
    contact_sheet,
    open_image,
    resize_and_crop,
    save_image,
    to_image,
    to_tensor,
)
from lgt.inference import LGTInference
from lgt.metrics.folders import pictures_in

HIDDEN = ("identity", "velocity")
WARMING = 4
"""Evaluations after which the running moments of a distance of collections are those of a state."""


class Floor:
    """The energy of some photos on their way to a style, from one state of its memory.

    Args:
        config: Configuration with `loss` and `data`.
        works: Latents of the styles.
        x_src: Scaled latents of the photos.
        photos: The photos `[N, 3, H, W]` in [0, 1], for `loss.detail`.
        own: Style id of the photos.
    """

    def __init__(
        self, config: Config, works: LatentDataset, x_src: Tensor, photos: Tensor, own: int
    ) -> None:
        # Held-out sources join the bank, so that works can be assigned to them too.
        bank = build_bank(
            config,
            torch.cat([works.latents[:], x_src]),
            torch.cat([works.style_ids, torch.full((len(x_src),), own)]),
        )
        kept = GivenPictures((255 * photos).round().to(torch.uint8), DECODED_SCALE)
        self.energy: FreeEnergy = build_energy(
            config,
            bank,
            build_perceptual_network(config, works.codec),
            photos=lambda index, corner, size: kept(index - len(works), corner, size),
        )
        self.x_src, self.own, self.offset = x_src, own, len(works)
        self.is_reduced = works_in_bf16(config.training.mixed_precision, "cpu")
        self.collection = self.energy.term(Collection)
        self.fresh = None if self.collection is None else copy.deepcopy(self.collection.distance)

    def evaluate(self, x: Tensor, style_id: int, generator: Generator) -> EnergyTerms:
        """Return the terms of all photos together."""
        count = len(x)
        labels = torch.full((count,), style_id), torch.full((count,), self.own)
        index = self.offset + torch.arange(count)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_reduced):
            return self.energy(x, self.x_src, *labels, index, generator=generator)

    def forget(self) -> None:
        """Empty the memory of a distance of collections."""
        if self.collection is not None and self.fresh is not None:
            self.collection.distance = copy.deepcopy(self.fresh)

    def descend(self, start: Tensor, style_id: int, steps: int) -> Tensor:
        """Return the latents after so many Adam steps down the energy."""
        self.forget()
        x = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([x], lr=0.05)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, steps)
        generator = Generator().manual_seed(0)
        for _ in range(steps):
            optimizer.zero_grad()
            self.evaluate(x, style_id, generator).total.backward()
            optimizer.step()
            schedule.step()
        return x.detach()

    def measure(self, x: Tensor, style_id: int, draws: int = 12) -> dict[str, float]:
        """Return the mean terms over draws of projections, references and crops."""
        self.forget()
        generator = Generator().manual_seed(1)
        with torch.no_grad():
            drawn = [self.evaluate(x, style_id, generator).as_floats() for _ in range(draws)]
        kept = drawn[WARMING:]
        means = {name: sum(terms[name] for terms in kept) / len(kept) for name in kept[0]}
        return {name: round(value, 4) for name, value in means.items() if name not in HIDDEN}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, help="configuration with `loss` and `data`")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--photos", type=Path, required=True, help="folder of held-out photos")
    parser.add_argument("--photo_style", default="photo", help="their style in `data` [photo]")
    parser.add_argument("--styles", help="styles, with commas [all]")
    parser.add_argument("--model", type=Path, help="checkpoint; the descent begins at its outputs")
    parser.add_argument("--num_photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures [256]")
    parser.add_argument("--steps", type=int, default=60, help="descent steps [60]")
    parser.add_argument("--out", type=Path, help="folder for folders of results")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    args = parser.parse_args()
    memory = [f"loss.collection_memory={2 * args.num_photos}"]
    config = load_config(args.config, memory + args.set)
    channels = config.model.latent_channels
    works = LatentDataset.from_config(config.data.data_root, config.data.style_subdirs, channels)
    codec = load_codec(works.codec.source if works.codec else config.data.codec)
    found = pictures_in(args.photos, "--photos")
    chosen = torch.linspace(0, len(found) - 1, min(args.num_photos, len(found))).long()
    paths = [found[i] for i in chosen.tolist()]
    photos = [to_tensor(resize_and_crop(open_image(path), args.size)) for path in paths]
    x_src = torch.cat([encode_image(codec, photo) for photo in photos])
    own = works.style_names.index(args.photo_style)
    floor = Floor(config, works, x_src, torch.cat(photos), own)
    lgt = LGTInference(args.model, "cpu") if args.model else None
    columns, shown = [x_src], ["source"]
    for name in args.styles.split(",") if args.styles else works.style_names:
        style_id = works.style_names.index(name)
        if style_id == own:
            continue
        states = {"source": x_src}
        if lgt is not None:
            style = args.photo_style, name
            one_by_one = [lgt.transfer_style(x, *style, seed=0) for x in x_src[:, None]]
            states["network"] = torch.cat(one_by_one).float().cpu()
        start = list(states.values())[-1]
        states["descent"] = floor.descend(start, style_id, args.steps)
        for state, x in states.items():
            result = floor.measure(x, style_id)
            print(json.dumps({"target": name, "state": state, **result}), flush=True)
            if state == "source":
                continue
            columns.append(x)
            shown.append(f"{name}, {state}")
            for path, latent in zip(paths, x, strict=True) if args.out else ():
                picture = to_image(decode_latent(codec, latent[None].contiguous()))
                save_image(picture, args.out / state / name / f"{path.stem}.png")
    if args.sheet:
        rows = [
            [to_image(decode_latent(codec, x[i : i + 1].contiguous())) for x in columns]
            for i in range(len(x_src))
        ]
        contact_sheet(rows, [""] * len(rows), shown).save(args.sheet)


if __name__ == "__main__":
    main()
