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
from torch import Generator, Tensor, nn

from distillation.crops import load_pictures, plain_crop, random_crop
from distillation.student import lightened
from lgt.codec.tiny import TinyAutoencoder, load_tiny
from lgt.files import atomic_write
from sharpen_decoder import learning_rate

PICTURE_WEIGHT = 1.0
EMA_DECAY = 0.995
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


class Run:
    """What a checkpoint holds: the encoder, its moving average, the optimiser and the count."""

    def __init__(self, model: TinyAutoencoder, args: argparse.Namespace) -> None:
        self.model, self.folder, self.step = model, args.out, 0
        self.average = {name: value.clone() for name, value in model.encoder.state_dict().items()}
        self.optimizer = torch.optim.Adam(model.encoder.parameters(), lr=args.lr, betas=(0.9, 0.99))
        self.generator = Generator().manual_seed(args.seed)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.is_file():
            state = torch.load(path, weights_only=True)
            self.model.encoder.load_state_dict(state["encoder"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.average, self.step = state["average"], state["step"]
            print(f"going on after step {self.step}", flush=True)

    def save(self) -> None:
        """Write the checkpoint and the result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "encoder": self.model.encoder.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
        }
        with atomic_write(self.folder / "checkpoint.pt") as temporary:
            torch.save(content, temporary)
        result = TinyAutoencoder(**self.model.config)
        result.load_state_dict(self.model.state_dict())
        result.encoder.load_state_dict(self.average)
        result.half().save_pretrained(self.folder / "codec")

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one step down the loss and let the average follow."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.encoder.parameters(), 1.0)
        self.optimizer.step()
        share = 1 - min(EMA_DECAY, self.step / (self.step + 9))
        for name, value in self.model.encoder.state_dict().items():
            self.average[name].lerp_(value, share)
        self.step += 1


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
    run = Run(model, args)
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
