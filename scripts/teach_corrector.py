"""Teach a model's corrector what `--refine` does to its pictures.

    python scripts/teach_corrector.py embedded data/raw/photo corrected.pt --pairs data/pairs

First, squares of photos are painted in each style and refined by descent of the energy, as
`lgt transfer --refine` does it; their latents are kept in `--pairs`, so that this can be stopped
and goes on where it was (ten seconds a pair on one core). Then the corrector, which a model without
one is given, learns the way from the source and the path's end to the refined one; all other
weights stay as they are. No picture is decoded and no image network looks: a step takes a fraction
of one of `lgt train`. A style of photos, and a path without style, are left as they are.
"""

from __future__ import annotations

import argparse
import copy
import glob
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from lgt.build import build_network
from lgt.config import Config
from lgt.device import computes_in_bf16
from lgt.dynamics.interpolant import expand_time
from lgt.errors import InputError, LGTError
from lgt.files import atomic_write, refuse_unwritable
from lgt.image import IMAGE_SUFFIXES, open_image, to_pixels
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.corrector import Corrector
from lgt.paint.engine import Refinement, Transport
from lgt.paint.refine import Refiner
from lgt.paint.torch_engine import TorchEngine
from lgt.seeds import derived
from lgt.train.average import WeightAverage
from lgt.train.optimizer import Muon
from lgt.train.schedule import learning_rate_at

SIDE = 512
"""Of the squares, in pixels."""
SHORT_SIDES = (512, 576, 640)
"""Of the photos that they are cut from: how large things are at the canvas."""
LATE, UNCHANGED = 0.3, 0.2
"""Shares of a batch that start on the path, and that are to stay as they are."""
WARMUP, DECAY = 30, 0.99


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint, or `embedded`")
    parser.add_argument("photos", type=Path, help="folder of photos to refine")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt)")
    parser.add_argument("--pairs", type=Path, required=True, help="folder of refined latents")
    parser.add_argument("--styles", help="to teach, by commas [all but the photos']")
    parser.add_argument("--count", type=int, default=60, help="photos a style [60]")
    parser.add_argument("--refine", type=int, default=10, help="steps of the teacher [10]")
    parser.add_argument("--blocks", type=int, default=8, help="of a new corrector [8]")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4, help="pictures a step [4]")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Pair:
    """What one photo is in a style, refined."""

    style: int
    x_src: Tensor
    x_star: Tensor


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures in a folder.

    Raises:
        InputError: There are none.
    """
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: no pictures in it")
    return found


def square_of(photos: Sequence[Path], seed: int) -> Image.Image:
    """Return a square of a photo, both drawn by a seed."""
    draw = random.Random(seed)
    image = open_image(draw.choice(photos)).convert("RGB")
    scale = draw.choice(SHORT_SIDES) / min(image.size)
    width, height = (max(SIDE, round(scale * side)) for side in image.size)
    left, top = (draw.randint(0, side - SIDE) for side in (width, height))
    return image.resize((width, height)).crop((left, top, left + SIDE, top + SIDE))


def make_pairs(words: argparse.Namespace, lgt: LGTInference, styles: Sequence[str]) -> None:
    """Refine what is not there yet, all styles in turn.

    Raises:
        LGTError: There are no photos, or the model can not be refined.
    """
    photos = pictures_of(words.photos)
    words.pairs.mkdir(parents=True, exist_ok=True)
    engine = TorchEngine(lgt, lgt.load_codec())
    missing = [
        (index, style)
        for index in range(words.count)
        for style in styles
        if not pair_path(words.pairs, style, index).exists()
    ]
    began = time.monotonic()
    for done, (index, style) in enumerate(missing, start=1):
        number = index * len(styles) + styles.index(style)
        pixels = to_pixels(square_of(photos, words.seed + number))
        transport = Transport(
            style={lgt.style_id(style): 1.0}, sampler=lgt.sampler, source=None, seed=index
        )
        x_src = engine.encode(pixels, None, ignore)
        x_1 = engine.move(x_src, transport, None, ignore)
        wanted = Refinement(steps=words.refine, pictures=pixels, detail=lgt.config.inference.detail)
        x_star = engine.refine(x_1, x_src, transport, wanted, ignore)
        tensors = {"x_src": x_src.half().contiguous(), "x_star": x_star.half().contiguous()}
        with atomic_write(pair_path(words.pairs, style, index)) as path:
            save_file(tensors, path)
        each = (time.monotonic() - began) / done
        say(f"pair {done}/{len(missing)}: {style}, {each:.1f} s/pair")


def pair_path(folder: Path, style: str, index: int) -> Path:
    """Return where a pair lies."""
    return folder / f"{style}_{index:04d}.safetensors"


def read_pairs(folder: Path, names: Sequence[str], styles: Sequence[str]) -> list[Pair]:
    """Return the pairs of some styles of those with these names."""
    pairs = []
    for style in styles:
        for path in sorted(folder.glob(f"{glob.escape(style)}_[0-9]*.safetensors")):
            found = load_file(path)
            pairs.append(Pair(names.index(style), found["x_src"].float(), found["x_star"].float()))
    return pairs


def styles_of(wish: str | None, lgt: LGTInference) -> list[str]:
    """Return the styles that are wished, or all but the photos'.

    Raises:
        InputError: There is no such style.
    """
    if wish:
        return [lgt.style_names[lgt.style_id(name)] for name in wish.split(",")]
    own = Refiner(lgt).origin
    return [name for style, name in enumerate(lgt.style_names) if style != own]


def loss_of(
    student: LGTUNet, base: LGTUNet, pairs: Sequence[Pair], own: int, generator: Generator
) -> Tensor:
    """Return the squared error of the ends that the student's velocities lead to.

    Args:
        student: The network.
        base: The same without corrector.
        pairs: A batch.
        own: Style of photos.
        generator: Of what starts where.
    """
    count = len(pairs)
    x_src, x_star = (torch.cat([getattr(p, k) for p in pairs]) for k in ("x_src", "x_star"))
    target = torch.tensor([pair.style for pair in pairs])
    chance = torch.rand(count, generator=generator)
    stays = chance < UNCHANGED
    nothing = torch.where(torch.rand(count, generator=generator) < 0.5, NULL_STYLE, own)
    target = torch.where(stays, nothing, target)
    is_late = torch.rand(count, generator=generator) < LATE
    t = torch.where(is_late, torch.rand(count, generator=generator), 0.0)
    x = x_src + expand_time(t, x_src) * (x_star - x_src)
    source = torch.where(torch.rand(count, generator=generator) < 0.5, NULL_STYLE, own)
    condition = student.condition(target, source, x_src if student.condition_on_source else None)
    with torch.no_grad():
        kept = base.velocity(x, t, condition)
    wanted = torch.where(stays[:, None, None, None], kept, x_star - x_src)
    error = (1 - expand_time(t, x)) * (student.velocity(x, t, condition) - wanted)
    return error.square().mean()


def teach(words: argparse.Namespace) -> None:
    """Make pairs, teach, and write the checkpoint.

    Raises:
        LGTError: A file can not be read or written, or the model can not be refined.
    """
    refuse_unwritable(words.out.parent)
    lgt = LGTInference(words.model, "cpu")
    names = lgt.style_names
    own = Refiner(lgt).origin
    styles = styles_of(words.styles, lgt)
    make_pairs(words, lgt, styles)
    pairs = read_pairs(words.pairs, names, styles)
    checkpoint = Checkpoint.load(find_model(words.model))
    config = with_corrector(checkpoint.config, words.blocks)
    student = build_network(config)
    student.load_state_dict(checkpoint.inference_weights, strict=False)
    student.requires_grad_(False)
    base = copy.deepcopy(student).eval()
    base.corrector = None
    corrector = cast(Corrector, student.corrector).requires_grad_(True)
    optimizer, average = Muon(corrector, words.lr), WeightAverage(student, DECAY)
    began, mean, is_half = time.monotonic(), 0.0, computes_in_bf16("cpu")
    for step in range(words.steps):
        generator = derived(words.seed, step)
        rate = learning_rate_at(
            step, peak=words.lr, total_steps=words.steps, warmup_steps=min(WARMUP, words.steps // 4)
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = torch.randint(len(pairs), (words.batch,), generator=generator).tolist()
        # Never mirrored: the strokes of a mirrored photo are not the mirrored strokes.
        batch = [pairs[index] for index in chosen]
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = loss_of(student, base, batch, own, generator)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(corrector.parameters(), 1.0)
        optimizer.step()
        average.update(student, step + 1)
        mean += (loss.item() - mean) / min(step + 1, 50)
        if (step + 1) % 10 == 0 or step + 1 == words.steps:
            each = (time.monotonic() - began) / (step + 1)
            say(f"step {step + 1}/{words.steps}: loss {mean:.4f}, {each:.2f} s/step")
    replace(checkpoint, config=config, network=student.state_dict(), ema=average.state_dict()).save(
        words.out
    )
    say(str(words.out))


def with_corrector(config: Config, blocks: int) -> Config:
    """Return the configuration with a corrector, if it has none."""
    if config.model.num_corrector_blocks:
        return config
    model = config.model.model_copy(update={"num_corrector_blocks": blocks})
    return config.model_copy(update={"model": model})


def ignore(_: float) -> None:
    """Take no notice of progress."""


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    try:
        teach(parse(arguments))
    except LGTError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
