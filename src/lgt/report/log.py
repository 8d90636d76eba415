"""What a run tells: a CSV row an epoch, and events for whoever shows progress."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lgt.files import storage_errors

FIRST = ("epoch", "step", "images")
LAST = ("learning_rate", "gradient_norm", "id_swap_distance", "seconds")
"""Columns of the log around the energies, which name themselves. Energies, gradient norm and
seconds per step are means over the epoch's steps (of this process); `id_swap_distance` is measured
at its end."""

DISTANCE = "distance_"
"""Begins the columns that tell, at the end of an epoch, how far the outputs of a style are from its
works: 1 is where the photos are."""


def columns_of(row: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of a log in their order."""
    energies = [name for name in row if name not in FIRST and name not in LAST]
    return (*FIRST, *energies, *LAST)


def distances_in(row: Mapping[str, float]) -> dict[str, float]:
    """Return how far each style is from its works, the farthest first, where a row tells it."""
    named = [(name, value) for name, value in row.items() if name.startswith(DISTANCE)]
    known = [(name, value) for name, value in named if not math.isnan(value)]
    known.sort(key=lambda item: -item[1])
    return {name.removeprefix(DISTANCE): value for name, value in known}


class TrainingLog:
    """Appends rows to `training_YYYYMMDD_HHMMSS.csv`; each row is on disk when `write` returns."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        stamp = (now or datetime.now()).strftime("%Y%m%d_%H%M%S")
        self.path = folder / f"training_{stamp}.csv"
        with storage_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            has_header = self.path.exists() and self.path.stat().st_size > 0
            self._file = self.path.open("a", newline="", encoding="utf-8")
        self._has_header = has_header

    def write(self, row: dict[str, float]) -> None:
        """Append a row of one epoch; the first one names the columns.

        Args:
            row: `FIRST`, the energies in their order, `LAST`.

        Raises:
            StorageError: The disk is full, or does not take it.
        """
        names = columns_of(row)
        with storage_errors(self.path):
            writer = csv.DictWriter(self._file, names)
            if not self._has_header:
                writer.writeheader()
                self._has_header = True
            writer.writerow({n: format(row[n], ".0f" if n in FIRST else ".6g") for n in names})
            self._file.flush()

    def close(self) -> None:
        """Close the file; what a full disk did not take is told by :meth:`write`."""
        with suppress(OSError):
            self._file.close()


@dataclass
class Means:
    """Running means of named numbers: their sums, and of how many samples."""

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, values: dict[str, float]) -> None:
        """Take one sample of each number."""
        self.count += 1
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}

    def result(self) -> dict[str, float]:
        """Return the means, and start anew."""
        means = {name: total / max(1, self.count) for name, total in self.sums.items()}
        self.count, self.sums = 0, {}
        return means


class Reporter(Protocol):
    """Whoever shows a run to the user."""

    def measured(self, done: int, total: int) -> None:
        """Take how many works' features are known, of how many; before the start."""
        ...

    def begin(self, first_step: int, total_steps: int, first_epoch: int, epochs: int) -> None:
        """Start, perhaps in the middle: `first_epoch` of `epochs` are complete."""
        ...

    def step(self, step: int, values: dict[str, float]) -> None:
        """Take the terms of one step; `step` counts from 1."""
        ...

    def epoch(self, row: dict[str, float]) -> None:
        """Take a row of the log."""
        ...

    def message(self, text: str) -> None:
        """Show a line that must not be missed."""
        ...


class SilentReporter:
    """Shows nothing."""

    def measured(self, done: int, total: int) -> None:
        """Ignore works."""

    def begin(self, first_step: int, total_steps: int, first_epoch: int, epochs: int) -> None:
        """Ignore the start."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Ignore a step."""

    def epoch(self, row: dict[str, float]) -> None:
        """Ignore a row."""

    def message(self, text: str) -> None:
        """Ignore a line."""
