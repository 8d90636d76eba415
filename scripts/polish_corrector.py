"""Let a corrector follow the energy that `--refine` descends.

    python scripts/polish_corrector.py corrected.pt data/raw/photo polished.pt
    torchrun --nproc_per_node 2 scripts/polish_corrector.py corrected.pt data/raw/photo polished.pt

What `scripts/teach_corrector.py` taught is the mean of what a descent may do, and a mean has no
strokes. Here each square of a photo is painted, the energy is taken as for `lgt transfer --refine`,
and its gradient goes into the corrector; all other weights stay as they are. Near by it is the
energy of the last pictures of the style together, from afar of each alone; content counts by style
(`loss.content_by_style`), since a network has to learn what a descent has not. Photos painted as
photos, and paths without style, are held where they were. A run that was stopped goes on by the
same command.

References:
    Johnson et al., Perceptual Losses for Real-Time Style Transfer, 2016,
    https://arxiv.org/abs/1603.08155
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from correcting import Pictures, correct, start_of
from lgt.build.descent import Demand, build_picture_energy
from lgt.device import computes_in_bf16
from lgt.energy.descent import PictureEnergy
from lgt.nn import NULL_STYLE
from lgt.seeds import derived
from teach_corrector import styles_of
from teaching import factors, run

HELD = 200.0
"""Weight of the mean squared change of what is to stay, beside energies of some twenty."""
BROAD, BROAD_HELD = 16, 20.0
"""Side in latent positions of the squares whose mean colours are to stay as the network has them,
and the weight of their mean squared change: a single picture's energy says little of its palette,
which the network has from whole collections. It counts as content does: of the photos' colours
and light a style that is far from them gives up more."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint with a corrector")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt), every fifty steps")
    parser.add_argument("--styles", help="to polish, by commas [all but the photos']")
    parser.add_argument("--content", type=float, default=2.0, help="factor of the content [2]")
    parser.add_argument("--content_afar", type=float, default=4.0, help="the same from afar [4]")
    parser.add_argument(
        "--content_by_style",
        type=factors,
        default={},
        help="name=factor by commas, in the place of the model's loss.content_by_style",
    )
    parser.add_argument("--calm", type=float, default=10.0, help="factor of its clutter [10]")
    parser.add_argument("--pictures", type=int, default=8, help="taken together near by [8]")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=2, help="pictures a step and process [2]")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class PolishedPictures(Pictures):
    """The energy of single pictures, and its gradient in a network.

    Args:
        words: The command line.
    """

    asked = "energy"

    def __init__(self, words: argparse.Namespace) -> None:
        super().__init__(words)
        self.words, self.config = words, self.lgt.config
        by_style = self.config.loss.content_by_style | words.content_by_style
        self.by_style = {self.lgt.style_id(name): factor for name, factor in by_style.items()}
        self.last, self.waiting = dict[int, PictureEnergy](), dict[str, Any]()
        self.styles = [self.lgt.style_id(name) for name in styles_of(words.styles, self.lgt)]
        self.is_half = computes_in_bf16("cpu")

    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and its energy.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """
        style, generator = self.styles[number % len(self.styles)], derived(self.seed, number)
        pixels, whole, x_src = self.square(number)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_half):
            x_1, plain = self._ends(x_src, style, generator)
            held = HELD * self._change(x_src, generator)
        broad = F.avg_pool2d(x_1 - plain, BROAD).square().mean()
        end = x_1.detach().requires_grad_()
        factor = self.by_style.get(style, 1.0)
        energy = build_picture_energy(
            self.config,
            self.refiner.features,
            self.refiner.works_of((style,)).blended({0: 1.0}),
            self.refiner.works_of((self.own,)),
            torch.from_numpy(pixels),
            detail=self.config.inference.detail,
            near=Demand(factor * self.words.content, self.words.pictures),
            afar=Demand(factor * self.words.content_afar),
            calm=self.words.calm,
            whole=whole,
            after=self.last.get(style),
        )
        if str(style) in self.waiting:
            energy.load_state_dict(self.waiting.pop(str(style)))
        self.last[style] = energy
        total = float(energy.learn(end, x_src, generator))
        x_1.backward(share * cast(Tensor, end.grad), retain_graph=True)
        (share * (held + factor * BROAD_HELD * broad)).backward()
        return style, total

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of each style's last pictures near by."""
        found = {str(style): energy.state_dict() for style, energy in self.last.items()}
        return {**self.waiting, **found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these."""
        self.waiting = dict(state)

    def _ends(self, x_src: Tensor, style: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return where a path ends that is taken in one step from its start, or from on it.

        Returns:
            That end, and the one without corrector.
        """
        condition = self.condition(style, x_src)
        x, t = start_of(self.network, x_src, condition, generator)
        with torch.no_grad():
            plain = x + (1 - t) * self.base.velocity(x, t, condition).float()
        return x + (1 - t) * self.network.velocity(x, t, condition).float(), plain

    def _change(self, x_src: Tensor, generator: Generator) -> Tensor:
        """Return the mean squared change of a path that is to stay as it is."""
        is_own = float(torch.rand((), generator=generator)) < 0.5
        condition = self.condition(self.own if is_own else NULL_STYLE, x_src)
        t = torch.zeros(1)
        with torch.no_grad():
            kept = self.base.velocity(x_src, t, condition)
        return (self.network.velocity(x_src, t, condition) - kept).float().square().mean()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(partial(correct, made=PolishedPictures), parse, arguments)


if __name__ == "__main__":
    main()
