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
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from correcting import Pictures, correct, start_of
from lgt.nn import NULL_STYLE
from lgt.seeds import derived
from teach_corrector import styles_of
from teaching import factors, run

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
        type=factors,
        required=True,
        help="name=share of its change, by commas, such as oldmaster=0.3,engraving=0.5",
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4, help="pictures a step [4]")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class TemperedPictures(Pictures):
    """How far single pictures end from where they are to.

    Args:
        words: The command line.
    """

    asked = "error"

    def __init__(self, words: argparse.Namespace) -> None:
        super().__init__(words)
        self.before = copy.deepcopy(self.network).eval()
        self.shares = {self.lgt.style_id(name): share for name, share in words.shares.items()}
        # Photos painted as photos, and paths without style, are to stay as they are, too.
        painted = map(self.lgt.style_id, styles_of(None, self.lgt))
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(partial(correct, made=TemperedPictures), parse, arguments)


if __name__ == "__main__":
    main()
