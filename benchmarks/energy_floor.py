"""Compare a network with the floor: direct descent of the energy on the latents themselves.

    python benchmarks/energy_floor.py --config config.json --sources data/val --model CHECKPOINT

For a few sources and every other style it prints one JSON line each for three states: the source
itself, the network's output (with `--model`) and the end of Adam's descent from the source. The
descent is the least energy that a network could hope for; the difference to the network's is what
amortisation costs. `--sheet` draws the three states.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Generator, Tensor

from lgt.codec import decode_latent, load_codec
from lgt.config import load_config
from lgt.config.build import build_bank, build_energy, build_perceptual_network
from lgt.data.dataset import LatentDataset
from lgt.energy import EnergyTerms, FreeEnergy
from lgt.image import contact_sheet, to_image
from lgt.inference import LGTInference

SHOWN = ("total", "style", "content", "texture", "color", "feature")


def descend(
    evaluate_at: Tensor, energy: FreeEnergy, labels: tuple[Tensor, ...], steps: int
) -> Tensor:
    """Return the latents after `steps` Adam steps down the energy, from the sources."""
    x = evaluate_at.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, steps)
    generator = Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        energy(x, evaluate_at, *labels, generator=generator).total.backward()
        optimizer.step()
        schedule.step()
    return x.detach()


def measure(
    x: Tensor, x_src: Tensor, energy: FreeEnergy, labels: tuple[Tensor, ...]
) -> dict[str, float]:
    """Return the mean terms over 20 draws of projections and references."""
    generator = Generator().manual_seed(1)
    with torch.no_grad():
        drawn = [energy(x, x_src, *labels, generator=generator) for _ in range(20)]
    means = EnergyTerms(*(torch.stack(values).mean() for values in zip(*drawn, strict=True)))
    return {name: round(value, 4) for name, value in means.as_floats().items() if name in SHOWN}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, help="configuration with `loss` and `data`")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--sources", required=True, help="latents folder that sources come from")
    parser.add_argument(
        "--source_style", default="photo", help="style folder of the sources [photo]"
    )
    parser.add_argument("--model", type=Path, help="checkpoint to compare")
    parser.add_argument("--num_sources", type=int, default=6)
    parser.add_argument("--steps", type=int, default=120, help="descent steps [120]")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    channels = config.model.latent_channels
    works = LatentDataset.from_config(config.data.data_root, config.data.style_subdirs, channels)
    held_out = LatentDataset.from_config(args.sources, [args.source_style], channels)
    own = works.style_names.index(args.source_style)
    chosen = torch.linspace(0, len(held_out) - 1, args.num_sources).long()
    x_src = held_out.latents[chosen]
    # Held-out sources join the bank, so that works can be assigned to them too.
    bank = build_bank(
        config,
        torch.cat([works.latents, held_out.latents]),
        torch.cat([works.style_ids, torch.full((len(held_out),), own)]),
    )
    features = build_perceptual_network(config, works.codec)
    energy = build_energy(config, bank, features)
    index = len(works) + chosen
    lgt = LGTInference(args.model, "cpu") if args.model else None
    columns, labels_shown = [x_src], ["source"]
    for style_id, name in enumerate(works.style_names):
        if style_id == own:
            continue
        labels = (torch.full((len(x_src),), style_id), torch.full((len(x_src),), own), index)
        states = {"source": x_src}
        if lgt is not None:
            states["network"] = lgt.transfer_style(x_src, args.source_style, name, seed=0).cpu()
        states["descent"] = descend(x_src, energy, labels, args.steps)
        for state, x in states.items():
            result = measure(x, x_src, energy, labels)
            print(json.dumps({"target": name, "state": state, **result}), flush=True)
            if state != "source":
                columns.append(x)
                labels_shown.append(f"{name}, {state}")
    if args.sheet:
        codec = load_codec(works.codec.source if works.codec else config.data.codec)
        rows = [
            [to_image(decode_latent(codec, x[i : i + 1].contiguous())) for x in columns]
            for i in range(len(x_src))
        ]
        contact_sheet(rows, [""] * len(rows), labels_shown).save(args.sheet)


if __name__ == "__main__":
    main()
