"""What an energy is evaluated on, what it gives, and what a term of it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.features import Maps

Part = Literal["style", "content", "guard"]
"""What a term belongs to: `E = w_style * style + w_content * content + guards`."""


class View(NamedTuple):
    """Feature maps of the outputs that are styled, and of their sources; None where not looked."""

    maps: Maps | None = None
    source_maps: Maps | None = None


@dataclass(frozen=True)
class State:
    """End states of a batch of mixed styles, with all that terms may look at."""

    x_1: Float[Tensor, "B C H W"]
    """End states, in at least float32."""
    x_src: Float[Tensor, "B C H W"]
    """Their sources."""
    is_own: Bool[Tensor, " B"]
    """Whether the target is the source's own style, on the CPU."""
    kept: Float[Tensor, " B"]
    """Factor of the content energy of each output."""
    styled: Int[Tensor, " S"]
    """Rows, on the CPU, that the style energy looks at."""
    targets: Int[Tensor, " S"]
    """Target styles of these, on the CPU."""
    source_index: Int[Tensor, " S"]
    """Rows of their sources in the bank, on the CPU."""
    view: View
    """Feature maps of these."""
    kinetic: Tensor | None = None
    """Mean squared velocity along the path, if it is regularised."""
    generator: Generator | None = None
    """CPU generator of projections and references."""

    @cached_property
    def here(self) -> Int[Tensor, " S"]:
        """Return `styled` on the device of the states."""
        return sent(self.styled, self.x_1.device)

    @property
    def share(self) -> float:
        """Return the share of the batch that the style energy looks at."""
        return len(self.styled) / len(self.x_1)

    @property
    def zero(self) -> Float[Tensor, ""]:
        """Return 0 where the states are."""
        return self.x_1.new_zeros(())


class Value(NamedTuple):
    """One number of a term: what the log shows, and what share of the batch it is the mean of."""

    mean: Float[Tensor, ""]
    share: float | Tensor = 1.0


@runtime_checkable
class Term(Protocol):
    """One family of the free energy: it measures, names and weighs itself."""

    @property
    def part(self) -> Part:
        """What the term's values are added to."""
        ...

    @property
    def gains(self) -> Mapping[str, float]:
        """Factor of each value, by its name in the log."""
        ...

    def __call__(self, state: State) -> Mapping[str, Value]:
        """Measure a state; some names of `gains`, or all."""
        ...


@dataclass(frozen=True)
class EnergyTerms:
    """Batch means of an energy.

    `style` and `content` include the gains, so that `total = w_style style + w_content content +
    ...` holds as documented; `values` are bare.
    """

    total: Tensor
    style: Tensor
    content: Tensor
    values: Mapping[str, Tensor]
    """Each term's own, by name."""

    def __getitem__(self, name: str) -> Tensor:
        """Return a value by its name."""
        return self.as_dict()[name]

    def as_dict(self) -> dict[str, Tensor]:
        """Return the sums and all values, by name."""
        sums = {"total": self.total, "style": self.style, "content": self.content}
        return {**sums, **self.values}

    def as_floats(self) -> dict[str, float]:
        """Return all of them as numbers."""
        return {name: float(value.detach()) for name, value in self.as_dict().items()}


def rows_styled(is_own: Bool[Tensor, " B"], *, spares_own: bool) -> Int[Tensor, " S"]:
    """Return the rows, on the CPU, that style looks at: all, or those of another style."""
    everywhere = torch.ones(len(is_own), dtype=torch.bool)
    return torch.where(~is_own.cpu() if spares_own else everywhere)[0]
