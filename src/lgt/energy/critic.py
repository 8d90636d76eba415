"""A learned distance of collections: critics that look at feature maps, one score for each style.

The sliced distance draws its directions at random; a critic looks for the one in which outputs and
works of a style differ most, and the network closes that gap. It is trained beside the network,
one step for each of the network's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.utils import parametrize

from lgt.device import sent
from lgt.energy.collection import stacks_of
from lgt.energy.processes import counted, num_processes, summed
from lgt.energy.state import Part, State, Value
from lgt.nn.spectral import bounded
from lgt.seeds import derived

Draw = Callable[[Tensor, Generator], list[Tensor]]
"""Feature maps of random windows of works, of the styles `[N]` that are named."""

WIDTH = 32
"""Hidden channels of a head, whose arithmetic grows with their square."""
REMEMBERED = 4
"""Steps for which drawn works are kept, so that each needs only a quarter of them anew."""
OTHERS = 0.5
"""Weight of works of other styles among what is not of a style."""
LEARNING_RATE, BETAS = 2e-4, (0.0, 0.99)
"""Of Adam; those of projected GANs."""
RAMP_STEPS = 100
"""Steps until what a critic says counts in full: a new one knows nothing."""
WORKS = 1
"""Stream of random numbers that draws works."""


class CriticHeads(nn.Module):
    """Score each position of feature maps for each style, from its surroundings of 3 x 3.

    One head a map, all side by side in grouped convolutions: a device is asked once for what it
    would be asked for each.

    Args:
        count: H, maps of one size.
        channels: Of each.
        num_styles: Scores.
    """

    def __init__(self, count: int, channels: int, num_styles: int) -> None:
        super().__init__()
        self.count = count
        given, inner, told = (count * n for n in (channels, WIDTH, num_styles))
        middle = nn.Conv2d(inner, inner, 3, padding=1, padding_mode="replicate", groups=count)
        self.layers = nn.Sequential(
            bounded(nn.Conv2d(given, inner, 1, groups=count)),
            nn.LeakyReLU(0.2),
            bounded(middle),
            nn.LeakyReLU(0.2),
            bounded(nn.Conv2d(inner, told, 1, groups=count)),
        )
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(count * channels, 1, 1))
        self.register_buffer("deviation", torch.ones(count * channels, 1, 1))

    def measure(self, works: Float[Tensor, "N HC h w"]) -> None:
        """Take the unit of each channel from works of all styles."""
        self.mean = works.mean((0, 2, 3))[:, None, None]
        self.deviation = (works.var((0, 2, 3)) + 1e-6).sqrt()[:, None, None]

    def forward(self, maps: Float[Tensor, "B HC h w"]) -> Float[Tensor, "B H K h w"]:
        """Return scores: above 0 for what looks like a work of the style."""
        scores: Tensor = self.layers((maps - self.mean) / self.deviation)
        return scores.reshape(len(scores), self.count, -1, *scores.shape[2:])


class CriticDistance:
    """Max-sliced distance of outputs to works: how surely bounded slopes tell them apart.

    0 where they can not be told apart, about 1 where the hinge is content.

    No module, so that wrappers of the network leave its weights alone; it has its own optimiser. It
    learns where gradients are wanted; evaluations under `torch.no_grad` change nothing.

    Args:
        draw: Gives feature maps of works, taken as those of outputs are.
        num_styles: Number of styles.
        num_works: Works that a step compares with, the same in each process; a quarter of them is
            new at each step.
        seed: Of the works that are drawn, and of the first weights.

    References:
        Sauer et al., Projected GANs Converge Faster, 2021, https://arxiv.org/abs/2111.01007
        (critics on features of a frozen classifier); Deshpande et al., Max-Sliced Wasserstein
        Distance and its Use for GANs, 2019, https://arxiv.org/abs/1904.05877; Lim and Ye,
        Geometric GAN, 2017, https://arxiv.org/abs/1705.02894 (the hinge)
    """

    def __init__(self, draw: Draw, *, num_styles: int, num_works: int = 8, seed: int = 0) -> None:
        self.draw, self.num_styles, self.seed = draw, num_styles, seed
        self.fresh = max(1, num_works // REMEMBERED)
        self.age = 0
        self._kept: dict[int, tuple[list[Tensor], Tensor]] = {}
        self._rows: list[list[int]] = []
        works, _ = self._works()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = [
                CriticHeads(len(rows), layers.shape[1] // len(rows), num_styles)
                for rows, layers in zip(self._rows, works, strict=True)
            ]
        self.heads = nn.ModuleList(heads).to(works[0].device)
        for head, layers in zip(self._heads, works, strict=True):
            head.measure(layers)
        self.heads.requires_grad_(False).eval()
        self.optimizer = torch.optim.Adam(
            self.heads.parameters(), LEARNING_RATE, BETAS, foreach=True
        )

    @property
    def _heads(self) -> list[CriticHeads]:
        return [cast(CriticHeads, head) for head in self.heads]

    @property
    def _shares(self) -> list[float]:
        """Share of each group of maps of one size among all maps."""
        total = sum(map(len, self._rows))
        return [len(rows) / total for rows in self._rows]

    def __call__(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]] | None, targets: Int[Tensor, " B"]
    ) -> Tensor:
        """Learn from outputs, then return their distance to works of their styles.

        Args:
            maps: Feature maps of outputs; None where a batch has none: works are learned from all
                the same, so that several processes stay in step.
            targets: Style of each, on the CPU.
        """
        device = self._heads[0].mean.device
        with torch.autocast(device.type, enabled=False):
            layers = None if maps is None else self._side_by_side(maps)
            if torch.is_grad_enabled():
                self._learn(layers, targets)
            if layers is None:
                return torch.zeros((), device=device)
            kinds = sent(targets, device)
            ramp, score = min(1.0, self.age / RAMP_STEPS), torch.zeros((), device=device)
            for head, share, layer in zip(self._heads, self._shares, layers, strict=True):
                score = score + share * _own(head(layer), kinds).mean()
            return -ramp * score

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs; works are drawn again."""
        heads, optimizer = self.heads.state_dict(), self.optimizer.state_dict()
        return {"heads": heads, "optimizer": optimizer, "age": self.age}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.age = state["age"]

    def _learn(self, maps: list[Tensor] | None, targets: Tensor) -> None:
        """Take one step of the hinge loss."""
        works, labels = self._works()
        device = works[0].device
        is_other = 1 - F.one_hot(labels, self.num_styles).float()
        is_other /= max(1.0, float(is_other.sum()))  # Their mean is a sum of these.
        kinds, labels, is_other = (sent(x, device) for x in (targets, labels, is_other))
        self.heads.requires_grad_(True)
        # Rows of all processes weigh alike, however many each has.
        own_rows = 0 if maps is None else len(targets)
        rows = int(counted(torch.tensor(own_rows), device))
        share = own_rows * num_processes() / max(1, rows)
        loss = torch.zeros((), device=device)
        with parametrize.cached():  # Weights are the same for works and outputs of a step.
            parts = zip(self._heads, self._shares, works, strict=True)
            for index, (head, part, real) in enumerate(parts):
                # Apart: outputs of small latents are larger than works without their margin.
                given = head.train()(real)  # Spectral norms follow the weights in training.
                head.eval()
                others = (F.relu(1 + given).mean((1, 3, 4)) * is_other).sum()
                loss = loss + part * (F.relu(1 - _own(given, labels)).mean() + OTHERS * others)
                if maps is not None:
                    made = F.relu(1 + _own(head(maps[index].detach()), kinds)).mean()
                    loss = loss + part * share * made
        loss.backward()
        _average_gradients(self.heads)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.heads.requires_grad_(False)
        self.age += 1

    def _side_by_side(self, maps: Sequence[Tensor]) -> list[Float[Tensor, "B _ _ _"]]:
        """Put the channels of maps of one size side by side."""
        if not self._rows:
            self._rows = [rows for rows, _ in stacks_of(maps)]
        return [torch.cat([maps[row] for row in rows], dim=1).float() for rows in self._rows]

    def _works(self) -> tuple[list[Tensor], Tensor]:
        """Return works of the last steps, as a function of the age alone: resuming draws them."""
        ages = range(self.age - REMEMBERED + 1, self.age + 1)
        self._kept = {age: self._kept.get(age) or self._drawn(age) for age in ages}
        maps = [
            torch.cat(layer) for layer in zip(*(m for m, _ in self._kept.values()), strict=True)
        ]
        return maps, torch.cat([labels for _, labels in self._kept.values()])

    @torch.no_grad()
    def _drawn(self, age: int) -> tuple[list[Tensor], Tensor]:
        generator = derived(self.seed, WORKS, age + REMEMBERED)
        labels = torch.randint(self.num_styles, (self.fresh,), generator=generator)
        return self._side_by_side(self.draw(labels, generator)), labels


class Critic:
    """The learned distance as a term of the style energy.

    Args:
        distance: The distance, with its critics.
        gain: Factor of `critic`.
    """

    part: Part = "style"

    def __init__(self, distance: CriticDistance, gain: float) -> None:
        self.distance, self.gains = distance, {"critic": gain}

    def __call__(self, state: State) -> dict[str, Value]:
        """Return the distance; 0 where nothing is styled."""
        maps = None if state.view.maps is None else state.view.maps.style
        return {"critic": Value(self.distance(maps, state.targets), state.share)}


def _own(scores: Float[Tensor, "B H K h w"], kinds: Int[Tensor, " B"]) -> Float[Tensor, "B H h w"]:
    """Return each row's scores of its own style."""
    heads, _, height, width = scores.shape[1:]
    rows = kinds[:, None, None, None, None].expand(-1, heads, 1, height, width)
    return scores.gather(2, rows)[:, :, 0]


def _average_gradients(module: nn.Module) -> None:
    """Make the gradients of all processes their mean."""
    if num_processes() == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.copy_(summed(parameter.grad) / num_processes())
