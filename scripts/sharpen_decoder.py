"""Teach the embedded codec's decoder the texture of pictures: the second part of its training.

    python scripts/sharpen_decoder.py --images PICTURES --codec codec-run/codec --out sharp-run

A small decoder that is asked for pixels alone is soft: where latents do not tell, it draws the
mean. Here it is also asked that its pictures, together, have the features that pictures have: the
Gaussian of EfficientNet-Lite0 features over all crops that it decoded lately is moved to that of
the crops themselves (`lgt.energy.gaussian`). Pixels, colours and features in place keep each
picture what it is. The encoder, and so the latents, stay as they are.

With `--decoder_blocks` the decoder is made smaller at the same time. A third of the crops are then
latents that no picture has, as a style network makes them, with what the whole decoder gives.

`--out` holds `checkpoint.pt`, from which the same command goes on, and the result in `codec/`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from distillation.crops import load_pictures, move_latents, plain_crop, random_crop
from distillation.loss import coarse, grid
from distillation.run import Run, learning_rate
from distillation.student import lightened
from lgt.codec import load_codec
from lgt.codec.tiny import TinyAutoencoder, load_tiny
from lgt.energy.gaussian import gaussian_transport
from lgt.image.grey import matched_luminance
from lgt.nn.backbone import EfficientNetLite

TEXTURE_WEIGHT, FEATURE_WEIGHT, COLOR_WEIGHT, GRID_WEIGHT = 2.0, 0.1, 0.5, 2.0
MEMORY = 600
"""Crops whose features are remembered."""
SAVE_STEPS = 50


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])

    def counts(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser.add_argument("--images", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--codec", type=Path, required=True, help="codec to start from")
    parser.add_argument("--other", help="codec whose latents of the pictures are used as well")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and result")
    parser.add_argument(
        "--decoder_blocks", type=counts, help="blocks kept, such as 3,3,0,0 [as they are]"
    )
    parser.add_argument("--steps", type=int, default=950)
    parser.add_argument("--batch", type=int, default=12, help="crops a step [12]")
    parser.add_argument("--crop", type=int, default=128, help="side of a crop in pixels [128]")
    parser.add_argument("--lr", type=float, default=4e-4, help="peak learning rate [4e-4]")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Look(nn.Module):
    """Features of pictures in [0, 1], in colour and in grey of equal contrast."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return maps `[B, C, h, w]`, three in colour and three in grey."""
        with torch.autocast("cpu", torch.bfloat16):
            grey = matched_luminance(images).expand(-1, 3, -1, -1)
            layers = self.network.layers(torch.cat([images, grey]))
        color, plain = zip(*(layer.float().chunk(2) for layer in layers), strict=True)
        return [*color, *plain]


def points_of(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return the points of each map `[N, D]`; of the finest, 2 x 2 neighbours together."""
    depth = len(maps) // 2
    return [
        (F.pixel_unshuffle(m, 2) if i % depth == 0 else m).flatten(2).transpose(1, 2).flatten(0, 1)
        for i, m in enumerate(maps)
    ]


class Cloud:
    """Mean and covariance of points, over the crops seen last."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.first = self.second = torch.zeros(())

    def see(self, points: Tensor, num_pictures: int) -> tuple[Tensor, Tensor]:
        """Take the points `[N, D]` of some crops; return the present mean and covariance."""
        points = points.detach()
        share = min(1.0, num_pictures / MEMORY)
        self.weight += (1 - self.weight) * share
        self.first = self.first + (points.mean(0) - self.first) * share
        self.second = self.second + (points.T @ points / len(points) - self.second) * share
        mean = self.first / self.weight
        return mean, self.second / self.weight - torch.outer(mean, mean)


class Texture:
    """How far the features of all decoded crops are from those of the crops themselves."""

    def __init__(self, num_maps: int) -> None:
        self.decoded = [Cloud() for _ in range(num_maps)]
        self.real = [Cloud() for _ in range(num_maps)]
        self.transports: list[Tensor | None] = [None] * num_maps
        self.turn = 0

    def __call__(self, decoded: list[Tensor], real: list[Tensor], num_pictures: int) -> Tensor:
        """Take points into the moments; return the mean motion in units of the variance."""
        total = decoded[0].new_zeros(())
        for i, (points, wanted) in enumerate(zip(decoded, real, strict=True)):
            mean, covariance = self.decoded[i].see(points, num_pictures)
            to, spread = self.real[i].see(wanted, num_pictures)
            known = self.transports[i]
            if known is None or self.turn % len(decoded) == i:
                known = self.transports[i] = gaussian_transport(covariance, spread)
            with torch.no_grad():
                goals = to + (points - mean) @ known
            motion = (points - goals).square().sum(1).mean() / spread.trace()
            total = total + motion / len(decoded)
        self.turn += 1
        return total


def loss_terms(
    run: Run, images: Tensor, latents: Tensor, look: Look, texture: Texture
) -> dict[str, Tensor]:
    """Decode a batch, the last of it a plain colour, and return the weighted terms."""
    with torch.autocast("cpu", torch.bfloat16):
        output = run.model.decoder(latents.contiguous(memory_format=torch.channels_last))
    output = (output.float() + 1) / 2
    # A random offset: at a fixed one, the strides of the features would leave a grid.
    down, right = torch.randint(8, (2,), generator=run.generator).tolist()
    height, width = images.shape[-2] - 8, images.shape[-1] - 8
    view = (slice(-1), ..., slice(down, down + height), slice(right, right + width))
    with torch.no_grad():
        wanted = look(images[view].contiguous(memory_format=torch.channels_last))
    seen = look(output[view].contiguous(memory_format=torch.channels_last))
    in_place = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(seen, wanted, strict=True)
    ]
    motion = texture(points_of(seen), points_of(wanted), len(images) - 1)
    return {
        "pixel": (output - images).abs().mean(),
        "color": COLOR_WEIGHT * (coarse(output) - coarse(images)).abs().mean(),
        "grid": GRID_WEIGHT * grid(output - images).abs().mean(),
        "feature": FEATURE_WEIGHT * torch.stack(in_place).sum() / 2,
        "texture": TEXTURE_WEIGHT * motion,
    }


@torch.no_grad()
def with_moved(
    whole: TinyAutoencoder, images: Tensor, latents: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Replace the first third of a batch by what the whole decoder gives of moved latents."""
    share = len(images) // 3
    others = latents.roll(-1, 0)
    pairs = zip(latents[:share], others[:share], strict=True)
    moved = torch.stack([move_latents(a, b, generator) for a, b in pairs])
    with torch.autocast("cpu", torch.bfloat16):
        decoded = whole.decoder(moved.contiguous(memory_format=torch.channels_last))
    shown = ((decoded.float() + 1) / 2).clamp(0, 1)
    return torch.cat([shown, images[share:]]), torch.cat([moved, latents[share:]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or go on training."""
    args = parse(arguments)
    whole = load_tiny(args.codec, str(args.codec)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = lightened(whole, decoder_blocks=args.decoder_blocks)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.encoder.requires_grad_(False)
    other = None if args.other is None else load_codec(args.other, dtype=torch.bfloat16)
    run = Run(model, "decoder", args.out, args.lr, args.seed)
    run.restore()
    look, pictures = Look(), load_pictures(args.images)
    texture: Texture | None = None
    start, first = time.monotonic(), run.step
    while run.step < args.steps:
        crops = [random_crop(pictures, args.crop, run.generator) for _ in range(args.batch - 1)]
        images = torch.stack([*crops, plain_crop(args.crop, run.generator)])
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            latents = model.encoder(images * 2 - 1).float()
        if other is not None:
            share = args.batch // 3
            latents[:share] = other.encode(images[:share])
        if args.decoder_blocks:
            images, latents = with_moved(whole, images, latents, run.generator)
        if texture is None:
            with torch.no_grad():
                texture = Texture(len(points_of(look(images[:1]))))
        terms = loss_terms(run, images, latents, look, texture)
        run.update(
            torch.stack(list(terms.values())).sum(), learning_rate(run.step, args.steps, args.lr)
        )
        if run.step % 25 == 0 or run.step == args.steps:
            shown = " ".join(f"{name} {float(value.detach()):.4f}" for name, value in terms.items())
            pace = (time.monotonic() - start) / (run.step - first)
            left = pace * (args.steps - run.step) / 60
            print(f"{run.step}/{args.steps} {shown} | {pace:.2f} s/step, {left:.0f} min left")
        if run.step % SAVE_STEPS == 0:
            run.save()
    run.save()
    print(f"saved at step {run.step}: {run.folder / 'codec'}")


if __name__ == "__main__":
    main()
