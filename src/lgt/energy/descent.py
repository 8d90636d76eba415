"""Descent: one picture's end state walks down the free energy itself, where a network has led it.

A network is asked for all photos at once, in one step; the energy of a single picture falls to half
of what the network reaches in ten evaluations. Distances are those of the training, with the
windows of this picture in the place of a collection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from lgt.device import sent
from lgt.energy.collection import position_maps, stacks_of
from lgt.energy.free_energy import FreeEnergy
from lgt.energy.gaussian import GaussianTransport, gaussian_wasserstein_sq
from lgt.energy.processes import alone
from lgt.energy.state import EnergyTerms, Part, State, Value
from lgt.energy.transports import Members, TransportStack
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError

WINDOW = 32
"""Side of what is looked at, in latent positions, as in the training of the shipped model."""
BATCH = 4
"""Windows of that side that are looked at together."""
REMEMBERED = 2
"""Looks at the whole picture that the moments of its features remember."""
LEAST_SHIFT = 4
"""Latent positions by which windows move at least."""
RATE, LAST_RATE = 0.1, 0.01
"""Of Adam, in units of scaled latents: at first, and at last."""
NEAR_RATE = 0.05
"""The first where learned steps have led: that much of `RATE` would lead away again."""
BETAS = (0.3, 0.95)
"""Of Adam's averages: shorter than is usual, since a descent is over in some ten steps."""


class Positions(nn.Module):
    """Distance of the positions of one picture to the works of a style, a term of the energy.

    What :class:`lgt.energy.collection.CollectionDistance` does by position, for one class.

    Args:
        works: Gaussians of the style, K = 1.
        origin: Those of photos, K = 1, whose distance is the unit.
        num_branches: Views that the feature maps are of.
        memory: Windows that are remembered.
        gain: Factor of `collection`.
    """

    part: Part = "style"

    def __init__(
        self,
        works: WorksGaussians,
        origin: WorksGaussians,
        *,
        num_branches: int,
        memory: int,
        gain: float,
    ) -> None:
        super().__init__()
        self.num_branches, self.memory = num_branches, memory
        self.gains = {"collection": gain}
        pairs = zip(works.means, works.covariances, strict=True)
        photos = zip(origin.means, origin.covariances, strict=True)
        self.transports = nn.ModuleList(
            GaussianTransport(mean, covariance, _unit(mean, covariance, *photo), memory=memory)
            for (mean, covariance), photo in zip(pairs, photos, strict=True)
        )
        self._stacks: list[tuple[list[int], TransportStack]] = []
        self._weight = 0.0

    def get_extra_state(self) -> float:
        """Return the share of the memory that is filled."""
        return self._weight

    def set_extra_state(self, state: float) -> None:
        """Set what :meth:`get_extra_state` gave."""
        self._weight = state

    def forward(self, state: State) -> dict[str, Value]:
        """Take windows into the moments; return the distance of these."""
        maps = state.view.maps
        if maps is None:
            return {"collection": Value(state.zero)}
        positions = position_maps(maps.style, self.num_branches)
        if not self._stacks:
            layers = [cast(GaussianTransport, layer) for layer in self.transports]
            sizes = [layer.means.shape[1] for layer in layers]
            if sizes != [layer.shape[1] for layer in positions]:
                raise InputError(
                    "refine: what the model has kept of its works is of other image networks than "
                    "loss.backbones names"
                )
            self._stacks = [
                (rows, TransportStack([layers[row].to(stacked.device) for row in rows]))
                for rows, stacked in stacks_of(positions)
            ]
        count, device = len(state.targets), positions[0].device
        share = min(1.0, count / self.memory)
        self._weight += share * (1 - self._weight)
        one = torch.zeros(count, dtype=torch.int64)
        members = Members(
            *(
                sent(x, device)
                for x in (
                    one,
                    torch.full((1, count), 1 / count),
                    torch.tensor([share]),
                    torch.tensor([self._weight]),
                )
            )
        )
        near = state.zero
        for rows, stack in self._stacks:
            stacked = torch.stack([positions[row] for row in rows])
            points = stacked.flatten(3).transpose(2, 3)
            stack.observe(points, members)
            stack.refresh(members.kinds[:1])
            near = near + stack.motion(points, members.kinds).mean(1).sum()
        return {"collection": Value(near / len(positions))}


@dataclass(frozen=True)
class Sight:
    """A distance that a picture is looked at from."""

    energy: FreeEnergy
    """Of windows, as the row 0 of its data."""
    window: int = WINDOW
    """Side of these, in latent positions."""
    remembers: bool = False
    """Whether its moments are those of the last pictures, and go on to the next."""

    @property
    def batch(self) -> int:
        """Windows that are looked at together: as many as hold `BATCH` of the least, or one."""
        return max(1, BATCH * WINDOW**2 // self.window**2)


@dataclass(frozen=True)
class PictureEnergy:
    """Free energy of one picture, from one distance or several; it keeps moments."""

    sights: Sequence[Sight]

    @property
    def positions(self) -> dict[int, Positions]:
        """Distances of positions whose moments go on, by the side of the windows."""
        goes_on = (sight for sight in self.sights if sight.remembers)
        terms = {sight.window: sight.energy.term(Positions) for sight in goes_on}
        return {window: term for window, term in terms.items() if term is not None}

    def state_dict(self) -> dict[str, Any]:
        """Return the moments that go on."""
        return {str(window): term.state_dict() for window, term in self.positions.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with moments that :meth:`state_dict` gave."""
        for window, term in self.positions.items():
            term.load_state_dict(state[str(window)])

    def learn(
        self,
        x_1: Float[Tensor, "1 C h w"],
        x_src: Float[Tensor, "1 C h w"],
        generator: Generator,
    ) -> Float[Tensor, ""]:
        """Add the gradient of the energy to that of an end state; return the energy.

        Args:
            x_1: The end state, which takes a gradient.
            x_src: Its source.
            generator: CPU generator of where windows lie, and of what the energy draws.
        """
        total = x_1.new_zeros(())
        for sight in self.sights:
            corners = windows_of(x_1.shape[-2], x_1.shape[-1], generator, side=sight.window)
            for part in torch.split(corners, sight.batch):
                ends, sources = (
                    torch.cat([_cut(y, *at, side=sight.window) for at in part.tolist()])
                    for y in (x_1, x_src)
                )
                terms = terms_of(sight.energy, ends, sources, part, generator)
                energy_of_part = terms.total * (len(part) / len(corners))
                energy_of_part.backward()
                total = total + energy_of_part.detach()
        return total


def terms_of(
    energy: FreeEnergy,
    ends: Float[Tensor, "B C s t"],
    sources: Float[Tensor, "B C s t"],
    corners: Int[Tensor, "B 2"],
    generator: Generator,
) -> EnergyTerms:
    """Return the energy of windows of one picture, and its parts.

    Args:
        energy: Of windows, as the row 0 of its data.
        ends: The windows of the end state.
        sources: Those of its source.
        corners: Where they lie.
        generator: CPU generator of what the energy draws.
    """
    row = torch.zeros(len(corners), dtype=torch.int64)
    with alone():
        return energy(ends, sources, row, row, row, source_corner=corners, generator=generator)


def descend(
    energy: PictureEnergy,
    x_1: Float[Tensor, "1 C h w"],
    x_src: Float[Tensor, "1 C h w"],
    steps: int,
    *,
    generator: Generator,
    is_near: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Float[Tensor, "1 C h w"]:
    """Return the end state after some steps of Adam down its energy.

    Args:
        energy: Of this picture: it keeps moments, so one for each.
        x_1: The end state to start from.
        x_src: Its source.
        steps: Looks at the whole picture.
        generator: CPU generator of where the windows lie.
        is_near: Whether learned steps have led to the end state: smaller steps then.
        progress: Is told the fraction done after each look.
    """
    x = x_1.detach().clone().requires_grad_()
    rate = NEAR_RATE if is_near else RATE
    optimizer = torch.optim.Adam([x], rate, BETAS)
    for step in range(steps):
        fall = 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.param_groups[0]["lr"] = LAST_RATE + fall * (rate - LAST_RATE)
        optimizer.zero_grad()
        energy.learn(x, x_src, generator)
        optimizer.step()
        progress((step + 1) / steps)
    return x.detach()


Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps sources, states and the gradients there to what is to be added to these."""


def stride(
    energy: PictureEnergy,
    step: Step,
    x_1: Float[Tensor, "1 C h w"],
    x_src: Float[Tensor, "1 C h w"],
    steps: int,
    *,
    generator: Generator,
    progress: Callable[[float], None] = lambda _: None,
) -> Float[Tensor, "1 C h w"]:
    """Return the end state after some learned steps, each told the gradient where it begins.

    Args:
        energy: Whose gradient the step has learned to read.
        step: See :class:`lgt.nn.learned_step.LearnedStep`.
        x_1: The end state to start from.
        x_src: Its source.
        steps: How many.
        generator: CPU generator of what the energy draws.
        progress: Is told the fraction done after each step.
    """
    x = x_1.detach()
    for index in range(steps):
        at = x.clone().requires_grad_()
        energy.learn(at, x_src, generator)
        with torch.no_grad():
            x = x + step(x_src, x, cast(Tensor, at.grad))
        progress((index + 1) / steps)
    return x


def windows_of(height: int, width: int, generator: Generator, *, side: int = WINDOW) -> Tensor:
    """Return corners `[N, 2]` of squares of a side in a grid that lies where chance will.

    They cover most of the picture, and over some calls all of it. Where a picture is smaller than
    a square, all of that side is looked at.
    """
    rows, columns = (_starts(length, side, generator) for length in (height, width))
    return torch.tensor([(row, column) for row in rows for column in columns])


def _starts(length: int, side: int, generator: Generator) -> list[int]:
    count, room = max(1, round(length / side - 0.2)), max(0, length - side)
    step = room / max(1, count - 1)
    # As far as neighbours are apart, so that all is seen; a little, so that no seam has its place.
    reach = max(LEAST_SHIFT, step - side if count > 1 else room)
    shift = reach * (2 * float(torch.rand((), generator=generator)) - 1)
    middle = 0 if count > 1 else room / 2
    return [round(min(max(0.0, middle + index * step + shift), room)) for index in range(count)]


def _cut(x: Tensor, row: int, column: int, *, side: int) -> Tensor:
    return x[..., row : row + side, column : column + side]


def _unit(mean: Tensor, covariance: Tensor, photo_mean: Tensor, photo_covariance: Tensor) -> Tensor:
    distance = gaussian_wasserstein_sq(photo_mean[0], photo_covariance[0], mean[0], covariance[0])
    return distance.clamp(min=1e-6)[None]
