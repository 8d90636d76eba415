"""Teach the step that `lgt transfer --refine` takes down the energy of a picture.

    python scripts/teach_learned_step.py embedded data/raw/photo step/
    torchrun --nproc_per_node 2 scripts/teach_learned_step.py embedded data/raw/photo step/

Squares of photos are painted by the model, and then go three steps. Each is told the gradient from
afar of where it begins; the gradient of where it leads, from afar and near by, teaches it, and is
what the next one is told. Broad colours are held where the network has led. `src/lgt/assets/step`
is such a folder. A run that was stopped goes on by the same command.
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

from lgt.build import DECODED_SCALE
from lgt.build.descent import LEARNED_CALM, Demand, build_energy_from_afar
from lgt.device import computes_in_bf16
from lgt.energy.descent import PictureEnergy
from lgt.errors import InputError
from lgt.files import refuse_unwritable
from lgt.nn import NULL_STYLE
from lgt.nn.learned_step import LearnedStep
from lgt.nn.packaged import write_network
from lgt.paint.transfer import LGTInference
from lgt.seeds import derived
from lgt.train.corrector import Pictures, styles_of
from lgt.train.last_energies import Demands, LastEnergies
from lgt.train.polish import BROAD
from lgt.train.process import make_accelerator
from lgt.train.squares import PhotoSquares
from lgt.train.teaching import Teaching, Weights, follow
from lgt.train.views import picture_files
from teaching import leave, lessons_of, run, say, tell

UNCORRECTED = 0.3
"""Share of the pictures that the network paints without its corrector, as models have none."""
NEAR = Demands(near=Demand(content=4.0, pictures=8), afar=None, calm=LEARNED_CALM)
"""What is asked near by: of the last pictures of a style together, as in `lgt polish`."""
HELD = 60.0
"""Weight of the mean squared change of broad colours: a picture's energy knows little of them."""
WARMUP, DECAY = 15, 0.98
"""Of the learning rate, in steps; of the average of the weights."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model that keeps how its works look")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("out", type=Path, help="folder to write, every fifty steps")
    parser.add_argument("--styles", help="to learn from, separated by commas [all]")
    parser.add_argument("--width", type=int, default=64, help="channels of its blocks [64]")
    parser.add_argument("--blocks", type=int, default=6, help="how many [6]")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=2, help="pictures a step and process [2]")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Strides(Pictures):
    """Pictures that go down their energy by a step that learns.

    Args:
        lgt: A model, which stays as it is.
        squares: Of photos.
        styles: Their names; they take turns.
        step: What learns.
        seed: Decides all that is drawn.

    Raises:
        InputError: The model has not kept how its works look from afar.
    """

    asked = "energy"

    def __init__(
        self,
        lgt: LGTInference,
        squares: PhotoSquares,
        styles: Sequence[str],
        step: LearnedStep,
        seed: int,
    ) -> None:
        super().__init__(lgt, squares, seed)
        self.step, self.styles = step, [lgt.style_id(name) for name in styles]
        self.near = LastEnergies(lgt, self.styles, NEAR)
        self.is_half = computes_in_bf16(lgt.device)

    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and its last energy.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """
        style, generator = self.styles[number % len(self.styles)], derived(self.seed, number)
        pixels, whole, x_src = self.square(number)
        begun = self._painted(x_src, style, generator)
        photo = torch.from_numpy(pixels).to(self.device)
        near, afar = self.near.following(style, photo, whole), self._afar(style, photo, whole)
        count = self.step.num_strides
        # Near by one of the steps is seen, which counts for all.
        seen = int(torch.randint(count, (), generator=generator))
        x, (gradient, total) = begun, _gradient(afar, begun, x_src, generator)
        for index in range(count):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_half):
                end = x + self.step(x_src, x, gradient).float()
            gradient, total = _gradient(afar, end, x_src, generator)
            taught = gradient
            if index == seen:
                taught = taught + count * _gradient(near, end, x_src, generator)[0]
            broad = F.avg_pool2d(end - begun, min(BROAD, *end.shape[-2:])).square().mean()
            loss = (end * taught).sum() + HELD * broad
            (share / count * loss).backward()
            x = end.detach()
        return style, total

    @torch.no_grad()
    def _painted(self, x_src: Tensor, style: int, generator: Generator) -> Tensor:
        is_bare = float(torch.rand((), generator=generator)) < UNCORRECTED
        network = self.base if is_bare else self.network
        condition = self.condition(style, x_src, NULL_STYLE)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_half):
            return x_src + network.velocity(x_src, x_src.new_zeros(1), condition).float()

    def _afar(self, style: int, photo: Tensor, whole: int) -> PictureEnergy:
        """Return the energy of a picture from afar."""
        near = self.near
        found = build_energy_from_afar(
            near.config,
            near.features,
            near.works[style],
            near.origin,
            photo,
            detail=near.config.inference.detail,
            whole=whole,
        )
        if found is None:
            raise InputError(
                f"{self.lgt.model_name}: has not kept how its works look from afar, or was trained "
                "in squares that can not be seen so"
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of each style's last pictures near by."""
        return self.near.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these."""
        self.near.load_state_dict(state)


def _gradient(
    energy: PictureEnergy, x: Tensor, x_src: Tensor, generator: Generator
) -> tuple[Tensor, float]:
    at = x.detach().clone().requires_grad_()
    value = float(energy.learn(at, x_src, generator))
    return cast(Tensor, at.grad), value


def teach(words: argparse.Namespace) -> None:
    """Teach, and write the folder.

    Raises:
        LGTError: A file can not be read or written, or the model can not be learned from.
    """
    refuse_unwritable(words.out.parent)
    if words.out.is_file():
        raise InputError(f"OUT: {words.out} is a file; name a folder to write")
    lgt = LGTInference(words.model, make_accelerator("no", "cpu").device)
    channels, backbones = lgt.config.model.latent_channels, tuple(lgt.config.loss.backbones)
    torch.manual_seed(words.seed)  # All processes begin with the same weights.
    step = LearnedStep(channels, words.width, words.blocks, backbones).to(lgt.device)
    squares = PhotoSquares(
        picture_files(words.photos, "PHOTOS"), lgt.trained_side * DECODED_SCALE, say
    )
    strides = Strides(lgt, squares, styles_of(words.styles, lgt), step, words.seed)

    def write(_: Weights, average: Weights) -> None:
        write_network(words.out, step.sizes, average)

    lessons = lessons_of(words, warmup=WARMUP, decay=DECAY)
    report = partial(tell, steps=words.steps)
    teaching = Teaching(step, lessons, write, beside=strides, report=report)
    leave(words, follow(teaching, strides, words.batch, say))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(teach, parse, arguments)


if __name__ == "__main__":
    main()
