"""Energies of single pictures, one after the other: each with the moments of its style's last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lgt.build.descent import Demand, build_picture_energy
from lgt.energy.descent import PictureEnergy
from lgt.paint.transfer import LGTInference

NEAR, AFAR, CALM = Demand(2.0, pictures=8), Demand(4.0), 40.0
"""What is usually asked; a descent keeps more of each photo."""


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What is asked of the pictures that a network paints."""

    near: Demand = NEAR
    afar: Demand | None = AFAR
    """None: nothing."""
    calm: float = CALM
    """Factor of `loss.clutter_gain`."""
    by_style: Mapping[str, float] = field(default_factory=dict)
    """Factor of the content by style, in the place of the model's `loss.content_by_style`."""

    @classmethod
    def of(cls, content: float, calm: float, by_style: Mapping[str, float]) -> Demands:
        """Return the usual ones, with factors of the content and of the calm."""
        near, afar = NEAR.times(content), AFAR.times(content)
        return cls(near=near, afar=afar, calm=calm * CALM, by_style=by_style)


class LastEnergies:
    """The energy of the last picture of each style, and of the one that follows.

    Args:
        lgt: A model that has kept how its works look.
        styles: Their numbers.
        demands: What is asked.

    Raises:
        InputError: The model has not kept how its works look.
    """

    def __init__(self, lgt: LGTInference, styles: Sequence[int], demands: Demands) -> None:
        refiner = lgt.refiner
        self.config, self.demands = lgt.config, demands
        self.works = {style: refiner.works_of((style,)) for style in styles}
        self.origin, self.features = refiner.works_of((refiner.origin,)), refiner.features
        self.last, self._waiting = dict[int, PictureEnergy](), dict[str, Any]()

    def following(
        self, style: int, photo: Tensor, whole: int, factor: float = 1.0
    ) -> PictureEnergy:
        """Return the energy of the next picture of a style.

        Args:
            style: Its number.
            photo: The picture's source, `[1, 3, H, W]` in [0, 1].
            whole: Short side in pixels of what `photo` is a part of.
            factor: Of the content.
        """
        near, afar = self.demands.near, self.demands.afar
        energy = build_picture_energy(
            self.config,
            self.features,
            self.works[style],
            self.origin,
            photo,
            detail=self.config.inference.detail,
            near=near.times(factor),
            afar=afar and afar.times(factor),
            calm=self.demands.calm,
            whole=whole,
            after=self.last.get(style),
        )
        if str(style) in self._waiting:
            energy.load_state_dict(self._waiting.pop(str(style)))
        self.last[style] = energy
        return energy

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of each style's last pictures near by."""
        found = {str(style): energy.state_dict() for style, energy in self.last.items()}
        return {**self._waiting, **found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these."""
        self._waiting = dict(state)
