"""The style bank: works of each style, and the references drawn from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.assignment import assign_works, image_statistics
from lgt.errors import InputError
from lgt.seeds import draw_distinct

MAX_ASSIGNED = 2048
"""Most works of one style that take part in an assignment; bounds its memory."""


@runtime_checkable
class Latents(Protocol):
    """Latents `[N, C, H, W]` that are indexed by rows: a tensor, or what reads them from a disk."""

    @property
    def shape(self) -> torch.Size:
        """Number of latents and their size."""
        ...

    @property
    def device(self) -> torch.device:
        """Where they come to."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Tensor:
        """Return those of some rows."""
        ...


def parts_of(latents: Latents, size: int) -> Iterator[Float[Tensor, "B C H W"]]:
    """Yield all latents in turn, at most `size` at once."""
    for start in range(0, len(latents), size):
        yield latents[start : start + size]


class StyleBank:
    """All latents, with the works of each style, on the training device.

    Args:
        latents: Scaled latents of every image.
        style_ids: Style of each.
        num_styles: Number of styles; each needs at least one work.
        softness: Entropy of assignments; see `assign_works`.

    Raises:
        InputError: If a style has no work.
    """

    def __init__(
        self,
        latents: Latents,
        style_ids: Int[Tensor, " N"],
        num_styles: int,
        *,
        softness: float = 0.05,
    ) -> None:
        self.latents, self.style_ids, self.num_styles = latents, style_ids.cpu(), num_styles
        self.softness = softness
        self.members = [torch.where(self.style_ids == i)[0] for i in range(num_styles)]
        for style_id, members in enumerate(self.members):
            if not len(members):
                raise InputError(f"style {style_id} has no works; a style needs at least one")
        self._statistics: Tensor | None = None
        self._plans: dict[tuple[int, int], Tensor] = {}

    def take(self, rows: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape C H W"]:
        """Return the latents of some rows."""
        return self.latents[sent(rows, self.latents.device)]

    def rows(
        self, style_id: int, count: int, generator: Generator | None = None
    ) -> Int[Tensor, " K"]:
        """Draw rows of `count` works of a style without replacement; all if it has fewer."""
        members = self.members[style_id]
        return members[draw_distinct(len(members), count, generator)]

    def works(
        self, style_id: int, count: int, generator: Generator | None = None
    ) -> Float[Tensor, "K C H W"]:
        """Draw works of a style; see :meth:`rows`."""
        return self.take(self.rows(style_id, count, generator))

    def balanced(
        self, per_style: int, generator: Generator | None = None
    ) -> Float[Tensor, "N C H W"]:
        """Draw up to `per_style` works of every style, for statistics over all of them."""
        drawn = [self.works(style, per_style, generator) for style in range(self.num_styles)]
        return torch.cat(drawn)

    def assigned_rows(
        self,
        style_id: int,
        source_index: Int[Tensor, " B"],
        count: int,
        generator: Generator | None = None,
    ) -> Int[Tensor, "B K"]:
        """Draw, for each source, rows of works of a style that optimal transport assigns to it.

        Args:
            style_id: The style.
            source_index: Row of each source in `latents`.
            count: Works for each source, drawn with replacement from its assignment.
            generator: CPU generator.
        """
        members = self.members[style_id]
        chosen = torch.empty(len(source_index), count, dtype=torch.int64)
        for i, index in enumerate(source_index.tolist()):
            own = int(self.style_ids[index])
            row = self._plan(own, style_id)[torch.searchsorted(self.members[own], index)]
            chosen[i] = torch.multinomial(row, count, replacement=True, generator=generator)
        return members[chosen]

    def _plan(self, source_style: int, target_style: int) -> Tensor:
        """Return assignment probabilities `[sources, works]`, computed on first use."""
        key = (source_style, target_style)
        if key not in self._plans:
            statistics = self._whole_statistics()
            sources = statistics[self.members[source_style]]
            works = statistics[self.members[target_style][:MAX_ASSIGNED]]
            self._plans[key] = assign_works(sources, works, softness=self.softness)
        return self._plans[key]

    def _whole_statistics(self) -> Tensor:
        """Return the statistics of all latents, in units of their mean deviation within a style."""
        if self._statistics is None:
            values = torch.cat(
                [image_statistics(part).cpu() for part in parts_of(self.latents, 256)]
            )
            within = [values[rows].var(dim=0, unbiased=False) for rows in self.members]
            self._statistics = values / torch.stack(within).mean(0).sqrt().clamp(min=1e-6)
        return self._statistics
