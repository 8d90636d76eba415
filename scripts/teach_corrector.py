"""Teach a model's corrector what `--refine` does to its pictures.

    python scripts/teach_corrector.py embedded data/raw/photo corrected.pt --pairs data/pairs

First, squares of photos are painted in each style and refined by descent of the energy, as
`lgt transfer --refine` does it; their latents are kept in `--pairs` (ten seconds a pair on one
core). Then the corrector, which a model without
one is given, learns the way from the source and the path's end to the refined one; all other
weights stay as they are. No picture is decoded and no image network looks: a step takes a fraction
of one of `lgt train`. A style of photos, and a path without style, are left as they are. A run that
was stopped goes on by the same command.
"""

from __future__ import annotations

import argparse
import glob
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor

from lgt.build import DECODED_SCALE, build_network
from lgt.device import computes_in_bf16
from lgt.dynamics.interpolant import expand_time
from lgt.errors import InputError
from lgt.files import atomic_write, refuse_unwritable
from lgt.image import to_pixels
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.corrector import Corrector
from lgt.paint.engine import Refinement, Transport
from lgt.paint.refine import Refiner
from lgt.paint.torch_engine import TorchEngine
from lgt.seeds import derived
from lgt.train.corrector import styles_of, with_corrector, without_corrector
from lgt.train.squares import PhotoSquares
from lgt.train.teaching import Teaching
from lgt.train.views import picture_files
from teaching import leave, lessons_of, run, say, tell

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


def make_pairs(words: argparse.Namespace, lgt: LGTInference, styles: Sequence[str]) -> None:
    """Refine what is not there yet, all styles in turn.

    Raises:
        LGTError: There are no photos, or the model can not be refined.
    """
    photos = picture_files(words.photos, "PHOTOS")
    squares = PhotoSquares(photos, lgt.trained_side * DECODED_SCALE, say)
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
        pixels = to_pixels(squares.square(words.seed + number)[0])
        transport = Transport(
            style={lgt.style_id(style): 1.0}, sampler=lgt.sampler, source=None, seed=index
        )
        x_src = engine.encode(pixels, None, lambda _: None)
        x_1 = engine.move(x_src, transport, None, lambda _: None)
        wanted = Refinement(steps=words.refine, pictures=pixels, detail=lgt.config.inference.detail)
        x_star = engine.refine(x_1, x_src, transport, wanted, lambda _: None)
        tensors = {"x_src": x_src.half().contiguous(), "x_star": x_star.half().contiguous()}
        with atomic_write(pair_path(words.pairs, style, index)) as path:
            save_file(tensors, path, {"model": lgt.fingerprint})
        each = (time.monotonic() - began) / done
        say(f"pair {done}/{len(missing)}: {style}, {each:.1f} s/pair")


def pair_path(folder: Path, style: str, index: int) -> Path:
    """Return where a pair lies."""
    return folder / f"{style}_{index:04d}.safetensors"


def read_pairs(folder: Path, lgt: LGTInference, styles: Sequence[str]) -> list[Pair]:
    """Return the pairs of some styles.

    Raises:
        InputError: One is damaged, or was made with another model.
    """
    pairs = []
    for style in styles:
        for path in sorted(folder.glob(f"{glob.escape(style)}_[0-9]*.safetensors")):
            try:
                with safe_open(path, "pt") as file:
                    model = (file.metadata() or {}).get("model")
                    x_src, x_star = (file.get_tensor(name).float() for name in ("x_src", "x_star"))
            except Exception as error:  # Whatever is wrong with it.
                raise InputError(f"{path}: damaged ({error}); remove it") from error
            if model != lgt.fingerprint:
                raise InputError(f"{path}: of another model; give another folder as --pairs")
            pairs.append(Pair(lgt.style_names.index(style), x_src, x_star))
    return pairs


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
    own = Refiner(lgt).origin
    styles = styles_of(words.styles, lgt)
    make_pairs(words, lgt, styles)
    pairs = read_pairs(words.pairs, lgt, styles)
    checkpoint = Checkpoint.load(find_model(words.model))
    config = with_corrector(checkpoint.config, words.blocks)
    student = build_network(config)
    student.load_state_dict(checkpoint.inference_weights, strict=False)
    student.requires_grad_(False)
    base = without_corrector(student)
    corrector = cast(Corrector, student.corrector).requires_grad_(True)
    checkpoint = replace(checkpoint, config=config)
    lessons = lessons_of(words, warmup=WARMUP, decay=DECAY)
    report = partial(tell, steps=words.steps)
    teaching = Teaching(checkpoint, student, lessons, part=corrector, report=report)
    mean, is_half = 0.0, computes_in_bf16("cpu")
    for step in teaching:
        generator = derived(words.seed, step)
        chosen = torch.randint(len(pairs), (words.batch,), generator=generator).tolist()
        # Never mirrored: the strokes of a mirrored photo are not the mirrored strokes.
        batch = [pairs[index] for index in chosen]
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = loss_of(student, base, batch, own, generator)
        loss.backward()
        mean += (loss.item() - mean) / min(step + 1, 50)
        teaching.told = f"loss {mean:.4f}"
    leave(words, teaching.is_done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(teach, parse, arguments)


if __name__ == "__main__":
    main()
