"""Style band by band: texture, colour and features of each output against works of its style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.bank import StyleBank
from lgt.energy.features import FeatureSWD
from lgt.energy.functional import Lines, line_distances
from lgt.energy.state import Part, State, Value
from lgt.energy.terms import PatchSWD
from lgt.energy.whitening import texture_whitening
from lgt.errors import InputError

STATISTICS_WORKS = 64
"""Works of each style that the whitening statistics are taken over, at most."""


@dataclass(frozen=True)
class Patches:
    """Which patches are compared, and with how many numbers."""

    is_split: bool = True
    """Compare texture, whitened, and colour apart; else patches as they are, which are both."""
    size: int = 3
    """Side of a patch, in taps."""
    dilations: tuple[int, ...] = (1,)
    """Distances between taps, one texture scale each."""
    num_projections: int = 64
    """Random directions of a distance."""
    max_samples: int = 4096
    """Most patches of one output, and of its reference works together."""

    def texture(self, bank: StyleBank, generator: Generator | None = None) -> list[PatchSWD]:
        """Return the distance of each scale that fits, whitened by the works where it is split.

        Args:
            bank: The works.
            generator: CPU generator of the choice of works that whitening is measured on.

        Raises:
            InputError: The latents are smaller than every patch.
        """
        side = min(bank.latents.shape[-2:])
        fitting = [d for d in self.dilations if (self.size - 1) * d < side]
        if not fitting:
            height, width = bank.latents.shape[-2:]
            raise InputError(
                f"latents of {height} x {width} are smaller than every patch (patch_size "
                f"{self.size}, patch_dilations {list(self.dilations)}); lower these, or use larger "
                "images"
            )
        if not self.is_split:
            return [self._distance(self.size, dilation) for dilation in fitting]
        works = bank.balanced(STATISTICS_WORKS, generator)
        return [
            self._distance(self.size, dilation, texture_whitening(works, self.size, dilation))
            for dilation in fitting
        ]

    def color(self) -> PatchSWD | None:
        """Return the distance of single pixels; None in raw form."""
        return self._distance(1, 1) if self.is_split else None

    def _distance(self, size: int, dilation: int, transform: Tensor | None = None) -> PatchSWD:
        return PatchSWD(
            patch_size=size,
            dilation=dilation,
            num_projections=self.num_projections,
            max_samples=self.max_samples,
            transform=transform,
        )


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
        gains: Factors of `texture`, `color` and `feature`, of the bands that there are.
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
        self.bank, self.texture, self.color, self.feature = bank, texture, color, feature
        bands = {"texture": texture, "color": color, "feature": feature}
        self.gains = {name: gains[name] for name, band in bands.items() if band}
        self.matching, self.color_pool = matching or Matching(), color_pool

    def __call__(self, state: State) -> dict[str, Value]:
        """Return mean texture, colour and feature distances, of the bands that there are."""
        if not len(state.styled):
            return {name: Value(state.zero) for name in self.gains}
        # Outputs side by side by style; what is sorted, is sorted for all of them at once.
        order = state.targets.argsort(stable=True)
        styles, counts = (x.tolist() for x in torch.unique(state.targets, return_counts=True))
        there, generator = sent(order, state.x_1.device), state.generator
        styled = sent(state.styled[order], there.device)
        outputs = torch.split(state.x_1.index_select(0, styled), counts)
        maps = [] if state.view.maps is None or not self.feature else state.view.maps.style
        layers = [torch.split(m.index_select(0, there), counts) for m in maps]
        sources = torch.split(state.source_index[order], counts)
        lines: dict[str, list[Lines]] = {name: [] for name in self.gains}
        for row, style_id in enumerate(styles):
            groups = outputs[row][:, None]
            reference = self._reference(style_id, sources[row], generator)
            works = self.bank.take(reference)
            for term in self.texture:
                lines["texture"].append(term.lines(groups, works, generator))
            if self.color is not None:
                pooled = self._pooled(groups), self._pooled(works)
                lines["color"].append(self.color.lines(*pooled, generator))
            if self.feature is not None:
                seen = [layer[row] for layer in layers]
                lines["feature"] += self.feature.lines(seen, reference, generator)
        distances = iter(line_distances([pair for pairs in lines.values() for pair in pairs]))
        count = len(state.x_1)  # A mean over what is styled, times its share of the batch.
        return {
            name: Value(torch.cat([next(distances) for _ in pairs]).sum() / count)
            for name, pairs in lines.items()
        }

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
