"""Train a perceptual network: what an image classifier sees in a picture, told from its latent.

    python scripts/train_perceptual.py --latents data/latents --out perceptual --work work

First the teacher's features of every decoded latent, and of mixtures that no picture has, are
written to the work folder (about 0.3 s a latent on one core, 0.7 MB each); then the network is
trained on them. Both parts go on where they were stopped. Needs the extra `metrics`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from torch import Generator, Tensor

from lgt.codec import LatentCodec, decode_latent, load_codec
from lgt.data.dataset import LatentDataset
from lgt.data.shards import ShardedLatents
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.image.grey import matched_luminance
from lgt.nn.backbone import Backbone, load_backbone
from lgt.nn.packaged import write_network
from lgt.nn.perceptual import LAYERS, LatentPerceptualNetwork

HELD_OUT_EVERY = 40
"""One latent in so many is kept for validation."""


def mixture(latents: Tensor | ShardedLatents, count: int, generator: Generator) -> Tensor:
    """Return latents that no picture has, as a style network may make them.

    Coarse bands of one with fine bands of another, sums with another's detail, or changed contrast
    of each band and noise.
    """
    first, second = (latents[_draw(len(latents), count, generator)] for _ in range(2))
    kind, octave = torch.randint(3, (2,), generator=generator).tolist()
    amount = torch.rand(3, count, 1, 1, 1, generator=generator)

    def coarse(x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, 2 ** (octave + 1))
        return F.interpolate(pooled, size=x.shape[-2:], mode="bilinear")

    if kind == 0:
        return coarse(first) + second - coarse(second)
    if kind == 1:
        return first + 0.7 * amount[0] * (second - second.mean(dim=(2, 3), keepdim=True))
    noise = 0.3 * amount[2] * torch.randn(first.shape, generator=generator)
    low = coarse(first)
    return (0.7 + 0.6 * amount[0]) * low + 2 * amount[1] * (first - low) + noise


def _draw(population: int, count: int, generator: Generator) -> Tensor:
    return torch.randint(population, (count,), generator=generator)


def teacher_maps(teacher: Backbone, codec: LatentCodec, latents: Tensor) -> dict[str, Tensor]:
    """Return all layers for scaled latents; stride 4 as 2 x 2 groups."""
    images = decode_latent(codec, latents)
    grey = matched_luminance(images).expand(-1, 3, -1, -1)
    layers = [*teacher(images), *teacher(grey)]
    layers[0], layers[3] = F.pixel_unshuffle(layers[0], 2), F.pixel_unshuffle(layers[3], 2)
    return dict(zip(LAYERS, layers, strict=True))


@dataclass
class Targets:
    """Latents and the teacher's features of them, on disk."""

    latents: np.memmap
    maps: dict[str, np.memmap]
    progress: Path

    @classmethod
    def open(cls, folder: Path, count: int, shape: tuple[int, ...]) -> Targets:
        """Open the files of a work folder, or make them."""
        folder.mkdir(parents=True, exist_ok=True)
        _, height, width = shape

        def array(name: str, item: tuple[int, ...]) -> np.memmap:
            path, whole = folder / f"{name}.npy", (count, *item)
            if not path.exists():
                return open_memmap(path, "w+", np.float16, whole)
            found = open_memmap(path, "r+")
            if found.shape != whole:
                raise InputError(f"{path}: is for other latents; use another --work folder")
            return found

        sizes = {
            name: (height // 2, width // 2) if name.endswith("16") else (height, width)
            for name in LAYERS
        }
        maps = {name: array(name, (LAYERS[name], *sizes[name])) for name in LAYERS}
        return cls(array("latents", shape), maps, folder / "progress.json")

    @property
    def done(self) -> int:
        """Latents whose features are there."""
        return int(json.loads(self.progress.read_text())) if self.progress.exists() else 0

    def read(self, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Return latents and features of ascending rows."""
        x = torch.from_numpy(self.latents[rows].astype(np.float32))
        maps = {k: torch.from_numpy(m[rows].astype(np.float32)) for k, m in self.maps.items()}
        return x.contiguous(memory_format=torch.channels_last), maps


@torch.no_grad()
def measure(targets: Targets, dataset: LatentDataset, codec: LatentCodec, batch: int = 8) -> None:
    """Fill in what is missing: all latents in random order, then mixtures."""
    teacher = load_backbone()
    order = torch.randperm(len(dataset), generator=Generator().manual_seed(0))
    total, began, first = len(targets.latents), time.perf_counter(), targets.done
    for start in range(first, total, batch):
        stop = min(start + batch, total)
        rows = order[start:stop]
        if len(rows) == stop - start:
            x = dataset.latents[rows]
        else:
            generator = Generator().manual_seed(start)
            x = mixture(dataset.latents, stop - start, generator)
        targets.latents[start:stop] = x.numpy()
        for name, layer in teacher_maps(teacher, codec, x).items():
            targets.maps[name][start:stop] = layer.float().numpy()
        with atomic_write(targets.progress) as temporary:
            temporary.write_text(str(stop))
        if (start - first) % (50 * batch) == 0 or stop == total:
            pace = (time.perf_counter() - began) / (stop - first)
            print(f"teacher: {stop}/{total}, {pace:.2f} s each, {(total - stop) * pace / 60:.0f} "
                  "min left", flush=True)  # fmt: skip


def distance(maps: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each layer's mean squared error; 1 is what the mean alone would reach."""
    return {k: (maps[k].float() - wanted[k]).clamp(-20, 20).square().mean() for k in LAYERS}


def train(targets: Targets, out: Path, *, steps: int, batch: int, rate: float) -> None:
    """Train on what has been measured, and save every 200 steps; a saved state is resumed."""
    torch.manual_seed(0)
    count = len(targets.latents)
    held_out = np.arange(0, count, HELD_OUT_EVERY)
    rows = np.setdiff1d(np.arange(count), held_out)
    _, sample = targets.read(rows[:: max(1, len(rows) // 200)])
    mean = {k: v.mean(dim=(0, 2, 3))[:, None, None] for k, v in sample.items()}
    std = {k: v.std(dim=(0, 2, 3))[:, None, None] + 1e-3 for k, v in sample.items()}

    def batch_of(chosen: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        x, maps = targets.read(np.sort(chosen))
        return x, {k: (maps[k] - mean[k]) / std[k] for k in maps}

    network = LatentPerceptualNetwork(latent_channels=targets.latents.shape[1])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3, fused=True)
    state, first = targets.progress.parent / "training.pt", 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    began = time.perf_counter()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (1 - step / steps) + 1e-5
        chosen = np.random.default_rng([0, step]).choice(rows, batch, replace=False)
        x, wanted = batch_of(chosen)
        with torch.autocast("cpu", torch.bfloat16):
            maps = network(x)
        loss = torch.stack(list(distance(maps, wanted).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if (step + 1) % 200 and step + 1 != steps:
            continue
        with torch.no_grad():
            parts = [batch_of(part) for part in np.array_split(held_out, -(-len(held_out) // 32))]
            values = [distance(network(x), wanted) for x, wanted in parts]
        shown = {k: round(float(torch.stack([v[k] for v in values]).mean()), 3) for k in LAYERS}
        pace = (time.perf_counter() - began) / (step + 1 - first)
        line = {"step": step + 1, "held_out": shown, "seconds_per_step": round(pace, 3)}
        print(json.dumps(line), flush=True)
        with atomic_write(state) as temporary:
            content = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**content, "step": step + 1}, temporary)
        save(network, out)


def save(network: LatentPerceptualNetwork, out: Path) -> None:
    """Write the folder that `load_perceptual_network` reads, in half precision."""
    sizes = {
        "width": network.conv_in.out_channels,
        "num_blocks": len(network.fine),
        "latent_channels": network.latent_channels,
    }
    write_network(out, sizes, network.state_dict())


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", required=True, help="folder that `lgt preprocess` wrote")
    parser.add_argument("--styles", nargs="*", help="style folders; default: all")
    parser.add_argument("--codec", help="codec that decodes; default: that of the latents")
    parser.add_argument("--out", type=Path, required=True, help="folder for the network")
    parser.add_argument("--work", type=Path, required=True, help="folder for features and state")
    parser.add_argument("--mixtures", type=int, default=2600, help="[2600]")
    parser.add_argument("--steps", type=int, default=2500, help="[2500]")
    parser.add_argument("--batch_size", type=int, default=16, help="[16]")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="peak [2e-3]")
    args = parser.parse_args()
    root = Path(args.latents)
    styles = args.styles or sorted(p.name for p in root.iterdir() if p.is_dir())
    dataset = LatentDataset.from_config(root, styles, 4)
    source = args.codec or (dataset.codec.source if dataset.codec else "auto")
    codec = load_codec(source, dtype=torch.bfloat16)
    shape = tuple(dataset.latents.shape[1:])
    targets = Targets.open(args.work, len(dataset) + args.mixtures, shape)
    measure(targets, dataset, codec)
    train(targets, args.out, steps=args.steps, batch=args.batch_size, rate=args.learning_rate)


if __name__ == "__main__":
    main()
