"""Style band by band: texture, colour and features of each output against works of its style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Generator, Tensor

from lgt.energy.bank import StyleBank
from lgt.energy.features import FeatureSWD
from lgt.energy.state import Part, State, Value
from lgt.energy.terms import PatchSWD


@dataclass(frozen=True)
class Matching:
    """Which works of its style an output is compared with."""

    assign_texture: bool = True
    """Compare textures with works assigned to each source by optimal transport; else with works of
    the style drawn at random."""
    assign_palette: bool = True
    """The same choice for colours."""
    assign_features: bool = True
    """The same choice for features."""
    bank_works: int = 8
    """Works drawn at random for a reference."""
    assigned_works: int = 2
    """Works drawn from each source's assignment."""


class StyleBands:
    """Sliced Wasserstein distances of patches, colours and features.

    Each output is compared with works of its own target style, never with a pool of styles.

    Args:
        bank: Works and sources.
        gains: Factors of `texture`, `color` and `feature`.
        texture: One patch distance per texture scale; empty if its gain is 0. In raw form the patch
            distance in place of texture and colour.
        color: Patch distance of single pooled pixels, or None for the raw form.
        feature: Distance of feature distributions, if its gain is not 0.
        matching: The works that are compared with; None: as `Matching` says.
        color_pool: Average-pooling factor of the colour band.
    """

    part: Part = "style"

    def __init__(
        self,
        bank: StyleBank,
        gains: Mapping[str, float],
        *,
        texture: list[PatchSWD],
        color: PatchSWD | None,
        feature: FeatureSWD | None = None,
        matching: Matching | None = None,
        color_pool: int = 2,
    ) -> None:
        self.bank, self.gains = bank, gains
        self.texture, self.color, self.feature = texture, color, feature
        self.matching, self.color_pool = matching or Matching(), color_pool

    def __call__(self, state: State) -> dict[str, Value]:
        """Return mean texture, colour and feature distances, of the bands that there are."""
        there = {"texture": self.texture, "color": self.color, "feature": self.feature}
        sums = {name: state.zero for name, band in there.items() if band}
        x_1, maps = state.x_1[state.here], [] if state.view.maps is None else state.view.maps.style
        for style_id in sorted(set(state.targets.tolist())):
            rows = torch.where(state.targets == style_id)[0]
            here = rows.to(x_1.device)
            groups, share = x_1[here][:, None], len(rows) / len(x_1)
            generator = state.generator
            drawn, assigned = self._references(style_id, state.source_index[rows], generator)
            if self.texture:
                works = self.bank.take(assigned if self.matching.assign_texture else drawn)
            for term in self.texture:
                sums["texture"] = sums["texture"] + share * term(groups, works, generator).mean()
            if self.color is not None:
                works = self.bank.take(assigned if self.matching.assign_palette else drawn)
                distance = self.color(self._pooled(groups), self._pooled(works), generator)
                sums["color"] = sums["color"] + share * distance.mean()
            if self.feature is not None:
                of_style = [m[here] for m in maps]
                reference = assigned if self.matching.assign_features else drawn
                distance = self.feature(of_style, reference, generator)
                sums["feature"] = sums["feature"] + share * distance.mean()
        return {name: Value(state.share * value) for name, value in sums.items()}

    def _references(
        self, style_id: int, source_index: Tensor, generator: Generator | None
    ) -> tuple[Int[Tensor, "1 _"], Int[Tensor, "_ _"]]:
        """Return rows `[1, K]` of random works, and `[G, K]` of those assigned to the sources."""
        drawn = assigned = torch.empty(1, 0, dtype=torch.int64)
        matching = self.matching
        choices = [matching.assign_texture, matching.assign_palette]
        if self.feature is not None:
            choices.append(matching.assign_features)
        if not all(choices):
            drawn = self.bank.rows(style_id, matching.bank_works, generator)[None]
        if any(choices):
            assigned = self.bank.assigned_rows(
                style_id, source_index, matching.assigned_works, generator
            )
        return drawn, assigned

    def _pooled(self, groups: Tensor) -> Tensor:
        pooled = F.avg_pool2d(groups.flatten(0, 1), self.color_pool)
        return pooled.reshape(*groups.shape[:2], *pooled.shape[1:])
