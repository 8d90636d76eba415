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

    assigned_works: int = 2
    """Works drawn from those that optimal transport assigns to its source; 0: `bank_works` random
    ones instead."""
    bank_works: int = 8
    """Works drawn at random, the same for all outputs of a style."""


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
            reference = self._reference(style_id, state.source_index[rows], generator)
            works = self.bank.take(reference)
            for term in self.texture:
                sums["texture"] = sums["texture"] + share * term(groups, works, generator).mean()
            if self.color is not None:
                distance = self.color(self._pooled(groups), self._pooled(works), generator)
                sums["color"] = sums["color"] + share * distance.mean()
            if self.feature is not None:
                distance = self.feature([m[here] for m in maps], reference, generator)
                sums["feature"] = sums["feature"] + share * distance.mean()
        return {name: Value(state.share * value) for name, value in sums.items()}

    def _reference(
        self, style_id: int, source_index: Tensor, generator: Generator | None
    ) -> Int[Tensor, "_ K"]:
        """Return rows of the works that outputs are compared with: of each, or `[1, K]` of all."""
        matching = self.matching
        if matching.assigned_works:
            count = matching.assigned_works
            return self.bank.assigned_rows(style_id, source_index, count, generator)
        return self.bank.rows(style_id, matching.bank_works, generator)[None]

    def _pooled(self, groups: Tensor) -> Tensor:
        pooled = F.avg_pool2d(groups.flatten(0, 1), self.color_pool)
        return pooled.reshape(*groups.shape[:2], *pooled.shape[1:])
