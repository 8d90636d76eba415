"""Let a corrector do a share only of what it does in some styles.

    python scripts/temper_corrector.py polished.pt data/raw/photo tempered.pt \
        --shares oldmaster=0.25,engraving=0.5

Polishing (`scripts/polish_corrector.py`) serves all styles by one energy, and the eye may like less
of it in some. Here the corrector learns to end where so large a share of its own change leads, in
the styles that are named, and where it did in all others. A run that was stopped goes on by the
same command.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lgt.errors import InputError
from lgt.files import refuse_unwritable
from lgt.image import to_pixels
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE
from lgt.paint.refine import Refiner
from lgt.paint.torch_engine import TorchEngine
from lgt.seeds import derived
from polish_corrector import ON_PATH, TIMES, condition_of, factors
from teach_corrector import ignore, pictures_of, square_of, styles_of
from teaching import Teaching, run

WARMUP, DECAY = 15, 0.98
NAMED = 0.5
"""Part of the pictures in one of the styles that are named."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint with a corrector")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt), every fifty steps")
    parser.add_argument("--shares", type=factors, required=True, help="name=share, by commas")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4, help="pictures a step [4]")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Pictures:
    """How far single pictures end from where they are to.

    Args:
        lgt: The model; its network is trained.
        words: The command line.
    """

    def __init__(self, lgt: LGTInference, words: argparse.Namespace) -> None:
        self.network, self.seed = lgt.network, words.seed
        self.before = copy.deepcopy(lgt.network).eval()
        self.base = copy.deepcopy(lgt.network).eval()
        self.base.corrector = None
        self.engine = TorchEngine(lgt, lgt.load_codec())
        self.photos = pictures_of(words.photos)
        self.shares = {lgt.style_id(name): share for name, share in words.shares.items()}
        # Photos painted as photos, and paths without style, are to stay as they are, too.
        kept = [Refiner(lgt).origin, NULL_STYLE]
        names = styles_of(None, lgt)
        self.others = [s for s in map(lgt.style_id, names) if s not in self.shares] + kept

    def learn(self, number: int, share: float) -> float:
        """Add the gradients of a picture, times `share`; return its mean squared error.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """
        generator = derived(self.seed, number)

        def drawn(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        is_named = float(torch.rand((), generator=generator)) < NAMED
        among = list(self.shares) if is_named else self.others
        style = among[drawn(len(among))]
        square, _ = square_of(self.photos, self.seed * 10**6 + number)
        with torch.inference_mode():
            x_src = self.engine.encode(to_pixels(square), None, ignore)
        x = x_src = x_src.clone()
        t = torch.zeros(1)
        condition = condition_of(self.network, style, x_src)
        with torch.no_grad():
            if float(torch.rand((), generator=generator)) < ON_PATH:
                t = torch.full((1,), TIMES[drawn(len(TIMES))])
                x = x_src + t * self.before.velocity(x_src, torch.zeros(1), condition).float()
            plain, full = (net.velocity(x, t, condition) for net in (self.base, self.before))
            wanted = plain + self.shares.get(style, 1.0) * (full - plain)
        error: Tensor = (self.network.velocity(x, t, condition) - wanted).square().mean()
        (share * error).backward()
        return float(error.detach())


def temper(words: argparse.Namespace) -> None:
    """Learn, and write the checkpoint.

    Raises:
        LGTError: A file can not be read or written, or the model has no corrector.
    """
    refuse_unwritable(words.out.parent)
    lgt = LGTInference(words.model, "cpu")
    network = lgt.network.train().requires_grad_(False)
    if network.corrector is None:
        raise InputError(f"{words.model}: has no corrector; see scripts/teach_corrector.py")
    corrector = network.corrector.requires_grad_(True)
    pictures = Pictures(lgt, words)
    checkpoint = Checkpoint.load(find_model(words.model))
    teaching = Teaching(checkpoint, network, words, part=corrector, warmup=WARMUP, decay=DECAY)
    mean = 0.0
    for step in teaching:
        numbers = range(step * words.batch, (step + 1) * words.batch)
        errors = [pictures.learn(number, 1 / words.batch) for number in numbers]
        mean += (sum(errors) / len(errors) - mean) * max(0.1, 1 / (step + 1))
        teaching.told = f"error {mean:.5f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(temper, parse, arguments)


if __name__ == "__main__":
    main()
