"""How far a run is: what a checkpoint keeps of the counts of its run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)
