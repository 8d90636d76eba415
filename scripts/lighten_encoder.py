"""Teach a smaller encoder the latents of a codec: the third part of the embedded codec's training.

    python scripts/lighten_encoder.py --images PICTURES --codec codec-run/codec --out light-run

An encoder of `AutoencoderTiny` spends most of its time where the picture is still large. Here
blocks are left out there; what is left starts as it was, and learns from random crops to give the
latents that the whole encoder gives, and through the decoder, which stays as it is, the picture.

`--out` holds `checkpoint.pt`, from which the same command goes on, and the result in `codec/`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from distillation.crops import load_pictures, plain_crop, random_crop
from distillation.run import Run, learning_rate
from distillation.student import lightened
from lgt.codec.tiny import TinyAutoencoder, load_tiny

PICTURE_WEIGHT = 1.0
SAVE_STEPS = 200


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])

    def counts(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser.add_argument("--images", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--codec", type=Path, required=True, help="codec to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and result")
    parser.add_argument(
        "--encoder_blocks", type=counts, default=[0, 0, 3, 1], help="blocks kept [0,0,3,1]"
    )
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=12, help="crops a step [12]")
    parser.add_argument("--crop", type=int, default=128, help="side of a crop in pixels [128]")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate [1e-3]")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def loss_terms(run: Run, teacher: TinyAutoencoder, images: Tensor, share: int) -> dict[str, Tensor]:
    """Return the squared difference of latents, and what it costs in the picture.

    Args:
        run: Holds the student.
        teacher: The whole codec.
        images: Crops `[B, 3, S, S]` in [0, 1].
        share: Crops that are decoded as well.
    """
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = teacher.encoder(images * 2 - 1)
        found = run.model.encoder(images * 2 - 1)
        decoded = run.model.decoder(found[:share])
    shown = images[:share] * 2 - 1
    return {
        "latent": (found.float() - wanted.float()).square().mean(),
        "picture": PICTURE_WEIGHT * (decoded.float() - shown).square().mean(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or go on training."""
    args = parse(arguments)
    layout = torch.channels_last
    teacher = load_tiny(args.codec, str(args.codec)).to(memory_format=layout)  # type: ignore[call-overload]
    teacher.requires_grad_(False)
    model = lightened(teacher, args.encoder_blocks).to(memory_format=layout)  # type: ignore[call-overload]
    model.decoder.requires_grad_(False)
    run = Run(model, "encoder", args.out, args.lr, args.seed)
    run.restore()
    pictures = load_pictures(args.images)
    start, first, smooth = time.monotonic(), run.step, dict[str, float]()
    while run.step < args.steps:
        crops = [random_crop(pictures, args.crop, run.generator) for _ in range(args.batch - 1)]
        images = torch.stack([*crops, plain_crop(args.crop, run.generator)])
        images = images.contiguous(memory_format=layout)
        terms = loss_terms(run, teacher, images, args.batch // 4)
        run.update(
            torch.stack(list(terms.values())).sum(), learning_rate(run.step, args.steps, args.lr)
        )
        for name, value in terms.items():
            now = float(value.detach())
            smooth[name] = 0.98 * smooth.get(name, now) + 0.02 * now
        if run.step % 25 == 0 or run.step == args.steps:
            shown = " ".join(f"{name} {value:.4f}" for name, value in smooth.items())
            pace = (time.monotonic() - start) / (run.step - first)
            left = pace * (args.steps - run.step) / 60
            print(f"{run.step}/{args.steps} {shown} | {pace:.2f} s/step, {left:.0f} min left")
        if run.step % SAVE_STEPS == 0:
            run.save()
    run.save()
    print(f"saved at step {run.step}: {run.folder / 'codec'}")


if __name__ == "__main__":
    main()
