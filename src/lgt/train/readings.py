"""Numbers of training steps, left on the device until there are enough to read them at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lgt.errors import TrainingError

EVERY = 25
"""Steps between two readings where the host has to wait for a device; a CPU's are read at once."""


@dataclass(frozen=True)
class Reading:
    """The numbers of one step."""

    step: int
    """Counts from 1."""
    values: dict[str, float]
    index: Tensor
    """Positions of its sources in the dataset, on the CPU."""


@dataclass
class Readings:
    """Collects the numbers of steps; the host waits for the device once for all of them.

    Args:
        device: Type of the device, such as `cpu`.
    """

    device: str
    _taken: list[tuple[int, dict[str, Tensor | float], Tensor]] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter)

    @property
    def is_full(self) -> bool:
        """Tell whether it is time to read."""
        return len(self._taken) >= (1 if self.device == "cpu" else EVERY)

    def begin(self) -> None:
        """Note the time at which a step begins."""
        if not self._taken:
            self._began = time.perf_counter()

    def take(self, step: int, values: Mapping[str, Tensor | float], index: Tensor) -> None:
        """Keep the numbers of a step; tensors have no dimensions and are on one device."""
        kept = {n: v.detach() if isinstance(v, Tensor) else v for n, v in values.items()}
        self._taken.append((step, kept, index))

    def read(self) -> list[Reading]:
        """Return what was taken since the last reading, with the mean `seconds` of a step."""
        taken, self._taken = self._taken, []
        tensors = [v for _, values, _ in taken for v in values.values() if isinstance(v, Tensor)]
        numbers = iter(torch.stack([t.float() for t in tensors]).tolist() if tensors else ())
        found = [
            Reading(
                step,
                {n: next(numbers) if isinstance(v, Tensor) else v for n, v in values.items()},
                index,
            )
            for step, values, index in taken
        ]
        seconds = (time.perf_counter() - self._began) / max(1, len(found))
        for reading in found:
            reading.values["seconds"] = seconds
        return found


def require_finite(reading: Reading, epoch: int, paths: Sequence[Path], advice: str) -> None:
    """Refuse to go on from a step that has a number that is none.

    Args:
        reading: The step.
        epoch: Complete epochs.
        paths: Files of the latents.
        advice: What to do first.

    Raises:
        TrainingError: A number is not finite.
    """
    bad = {n.replace("_", " "): v for n, v in reading.values.items() if not math.isfinite(v)}
    if not bad:
        return
    if "total" in bad:  # A gradient of what is not finite is no news.
        bad.pop("gradient norm", None)
    names = ", ".join(str(paths[i]) for i in reading.index.tolist())
    raise TrainingError(
        f"step {reading.step} (epoch {epoch + 1}): {', '.join(bad)} is not finite ({bad}); check "
        f"these latents: {names}. Nothing was saved from this step; {advice} with a lower "
        f"training.learning_rate, or training.mixed_precision=no"
    )
