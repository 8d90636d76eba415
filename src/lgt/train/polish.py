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
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.device import computes_in_bf16
from lgt.nn import NULL_STYLE
from lgt.paint.transfer import LGTInference
from lgt.seeds import derived
from lgt.train.corrector import CorrectedPictures, start_of
from lgt.train.last_energies import Demands, LastEnergies
from lgt.train.squares import PhotoSquares

HELD = 200.0
"""Weight of the mean squared change of what is to stay, beside energies of some twenty."""
BROAD, BROAD_HELD = 16, 20.0
"""Side in latent positions of the squares whose mean colours are to stay as the network has them,
and the weight of their mean squared change: a single picture's energy says little of its palette,
which the network has from whole collections. It counts as content does: of the photos' colours
and light a style that is far from them gives up more."""
WARMUP, DECAY = 15, 0.98
"""Of the learning rate, in steps; of the average of the weights."""


class PolishedPictures(CorrectedPictures):
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
        by_style = lgt.config.loss.content_by_style | dict(demands.by_style)
        self.by_style = {lgt.style_id(name): factor for name, factor in by_style.items()}
        self.styles = [lgt.style_id(name) for name in styles]
        self.energies = LastEnergies(lgt, self.styles, demands)
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
        photo = torch.from_numpy(pixels).to(self.device)
        energy = self.energies.following(style, photo, whole, factor)
        total = float(energy.learn(end, x_src, generator))
        x_1.backward(share * cast(Tensor, end.grad), retain_graph=True)
        (share * (held + factor * BROAD_HELD * broad)).backward()
        return style, total

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of each style's last pictures near by."""
        return self.energies.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these."""
        self.energies.load_state_dict(state)

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
