"""Let a corrector do a share only of what it does in some styles.

    python scripts/temper_corrector.py polished.pt data/raw/photo tempered.pt \
        --shares oldmaster=0.25,engraving=0.5

Polishing (`lgt polish`) serves all styles by one energy, and the eye may like less
of it in some. Here the corrector learns to end where so large a share of its own change leads, in
the styles that are named, and where it did in all others. A run that was stopped goes on by the
same command.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lgt.build import DECODED_SCALE
from lgt.files import refuse_unwritable
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE
from lgt.paint.transfer import LGTInference
from lgt.seeds import derived
from lgt.train.corrector import CorrectedPictures, correct, factors_of, start_of, styles_of
from lgt.train.polish import DECAY, WARMUP
from lgt.train.process import make_accelerator
from lgt.train.squares import PhotoSquares
from lgt.train.views import picture_files
from teaching import leave, lessons_of, run, say, tell

NAMED = 0.5
"""Part of the pictures in one of the styles that are named."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint with a corrector")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt), every fifty steps")
    parser.add_argument(
        "--shares",
        required=True,
        help="name=share of its change, by commas, such as oldmaster=0.3,engraving=0.5",
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4, help="pictures a step [4]")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class TemperedPictures(CorrectedPictures):
    """How far single pictures end from where they are to.

    Args:
        lgt: A model with a corrector, which is taught from now on.
        squares: Of photos.
        shares: Of its own change, by style.
        seed: Decides all that is drawn.
    """

    asked = "error"

    def __init__(
        self, lgt: LGTInference, squares: PhotoSquares, shares: Mapping[str, float], seed: int
    ) -> None:
        super().__init__(lgt, squares, seed)
        self.before = copy.deepcopy(self.network).eval()
        self.shares = {lgt.style_id(name): share for name, share in shares.items()}
        # Photos painted as photos, and paths without style, are to stay as they are, too.
        painted = map(lgt.style_id, styles_of(None, lgt))
        self.others = [s for s in (*painted, self.own, NULL_STYLE) if s not in self.shares]

    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and its squared error."""
        generator = derived(self.seed, number)
        is_named = float(torch.rand((), generator=generator)) < NAMED
        among = list(self.shares) if is_named else self.others
        style = among[int(torch.randint(len(among), (), generator=generator))]
        _, _, x_src = self.square(number)
        condition = self.condition(style, x_src)
        x, t = start_of(self.before, x_src, condition, generator)
        with torch.no_grad():
            plain, full = (net.velocity(x, t, condition) for net in (self.base, self.before))
            wanted = plain + self.shares.get(style, 1.0) * (full - plain)
        error: Tensor = (self.network.velocity(x, t, condition) - wanted).square().mean()
        (share * error).backward()
        return style, float(error.detach())


def temper(words: argparse.Namespace) -> None:
    """Teach, and write the checkpoint.

    Raises:
        LGTError: A file can not be read or written, or the model has no corrector.
    """
    refuse_unwritable(words.out.parent)
    lgt = LGTInference(words.model, make_accelerator("no", "cpu").device)
    photos = picture_files(words.photos, "PHOTOS")
    shares = factors_of(words.shares, lgt, "--shares")
    squares = PhotoSquares(photos, lgt.trained_side * DECODED_SCALE, say)
    is_done = correct(
        Checkpoint.load(find_model(words.model)),
        TemperedPictures(lgt, squares, shares, words.seed),
        lessons_of(words, warmup=WARMUP, decay=DECAY),
        words.batch,
        report=partial(tell, steps=words.steps),
        say=say,
    )
    leave(words, is_done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(temper, parse, arguments)


if __name__ == "__main__":
    main()
