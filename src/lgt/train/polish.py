"""Polish: a corrector follows the energy that `lgt transfer --refine` descends.

A descent walks down the energy of one picture, again for each; here its gradient, of many squares
of photos, goes into the corrector, which then does in its one step what many pictures have in
common. Near by it is the energy of the last pictures of a style together: of one alone, mostly a
plain ground, as many strokes would be asked as all works have. From afar each is compared alone: of
several together one may have no brush work at all. Photos painted as photos, and paths without
style, are held where they were.

References:
    Johnson et al., Perceptual Losses for Real-Time Style Transfer, 2016,
    https://arxiv.org/abs/1603.08155
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.build.descent import Demand, build_picture_energy
from lgt.device import computes_in_bf16
from lgt.energy.descent import PictureEnergy
from lgt.nn import NULL_STYLE
from lgt.paint.transfer import LGTInference
from lgt.seeds import derived
from lgt.train.corrector import Pictures, start_of
from lgt.train.squares import PhotoSquares

HELD = 200.0
"""Weight of the mean squared change of what is to stay, beside energies of some twenty."""
BROAD, BROAD_HELD = 16, 20.0
"""Side in latent positions of the squares whose mean colours are to stay as the network has them,
and the weight of their mean squared change: a single picture's energy says little of its palette,
which the network has from whole collections. It counts as content does: of the photos' colours
and light a style that is far from them gives up more."""
NEAR, AFAR, CALM = Demand(2.0, pictures=8), Demand(4.0), 40.0
"""What is usually asked; a descent keeps more of each photo."""
WARMUP, DECAY = 15, 0.98
"""Of the learning rate, in steps; of the average of the weights."""


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What is asked of the pictures that a network paints."""

    near: Demand = NEAR
    afar: Demand = AFAR
    calm: float = CALM
    """Factor of `loss.clutter_gain`."""
    by_style: Mapping[str, float] = field(default_factory=dict)
    """Factor of the content by style, in the place of the model's `loss.content_by_style`."""

    @classmethod
    def of(cls, content: float, calm: float, by_style: Mapping[str, float]) -> Demands:
        """Return the usual ones, with factors of the content and of the calm."""
        near, afar = (Demand(content * usual.content, usual.pictures) for usual in (NEAR, AFAR))
        return cls(near=near, afar=afar, calm=calm * CALM, by_style=by_style)


class PolishedPictures(Pictures):
    """The energy of single pictures, and its gradient in a corrector.

    Args:
        lgt: A model with a corrector, which is taught from now on.
        squares: Of photos.
        styles: To polish, by name; they take turns.
        demands: What is asked.
        seed: Decides all that is drawn.

    Raises:
        InputError: The model has not kept how its works look, or has no such style.
    """

    asked = "energy"

    def __init__(
        self,
        lgt: LGTInference,
        squares: PhotoSquares,
        styles: Sequence[str],
        demands: Demands,
        seed: int = 0,
    ) -> None:
        super().__init__(lgt, squares, seed)
        self.demands, self.config = demands, lgt.config
        by_style = self.config.loss.content_by_style | dict(demands.by_style)
        self.by_style = {lgt.style_id(name): factor for name, factor in by_style.items()}
        self.last, self.waiting = dict[int, PictureEnergy](), dict[str, Any]()
        self.styles = [lgt.style_id(name) for name in styles]
        self.works = {style: self.refiner.works_of((style,)) for style in {*self.styles, self.own}}
        self.features = self.refiner.features
        self.is_half = computes_in_bf16(self.device)

    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and its energy.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """
        style, generator = self.styles[number % len(self.styles)], derived(self.seed, number)
        pixels, whole, x_src = self.square(number)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_half):
            x_1, plain = self._ends(x_src, style, generator)
            held = HELD * self._change(x_src, generator)
        side = min(BROAD, *x_1.shape[-2:])
        broad = F.avg_pool2d(x_1 - plain, side).square().mean()
        end = x_1.detach().requires_grad_()
        factor = self.by_style.get(style, 1.0)
        energy = self.energy_of(style, factor, torch.from_numpy(pixels).to(self.device), whole)
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

    def energy_of(self, style: int, factor: float, photo: Tensor, whole: int) -> PictureEnergy:
        """Return the energy of the next picture of a style."""
        near, afar = self.demands.near, self.demands.afar
        energy = build_picture_energy(
            self.config,
            self.features,
            self.works[style],
            self.works[self.own],
            photo,
            detail=self.config.inference.detail,
            near=Demand(factor * near.content, near.pictures),
            afar=Demand(factor * afar.content, afar.pictures),
            calm=self.demands.calm,
            whole=whole,
            after=self.last.get(style),
        )
        if str(style) in self.waiting:
            energy.load_state_dict(self.waiting.pop(str(style)))
        self.last[style] = energy
        return energy

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
        t = x_src.new_zeros(1)
        with torch.no_grad():
            kept = self.base.velocity(x_src, t, condition)
        return (self.network.velocity(x_src, t, condition) - kept).float().square().mean()
