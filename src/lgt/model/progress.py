"""How far a run is: what a checkpoint keeps of the counts of its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lgt.damage import MAX_INTEGER, count_of, mapping_of, number_of


@dataclass(frozen=True)
class Progress:
    """What a checkpoint keeps of the counts of its run."""

    epoch: int
    """Complete epochs."""
    epoch_steps: int
    """Steps done in the epoch under way."""
    steps_per_epoch: int
    images: int
    """Sources seen, of all processes."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the numbers of the epoch under way, for its row in the log."""

    @classmethod
    def of_step(cls, step: int, *, steps_per_epoch: int, batch_size: int) -> Progress:
        """Return the counts of a run that never changed its settings.

        Args:
            step: Steps done.
            steps_per_epoch: Of the whole run.
            batch_size: Sources of a step, of all processes.
        """
        epoch, rest = divmod(step, steps_per_epoch)
        return cls(epoch, rest, steps_per_epoch, step * batch_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progress:
        """Read back what :meth:`to_dict` gave.

        Raises:
            TypeError: A value is missing or not usable.
        """
        values = mapping_of(values, "progress")
        sums = mapping_of(values.get("sums", {}), "progress: sums")
        return cls(
            epoch=count_of(values, "epoch", 0, MAX_INTEGER),
            epoch_steps=count_of(values, "epoch_steps", 0, MAX_INTEGER),
            steps_per_epoch=count_of(values, "steps_per_epoch", 1, MAX_INTEGER),
            images=count_of(values, "images", 0, MAX_INTEGER),
            sums={name: number_of(sums, name, -math.inf, math.inf) for name in sums},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)
