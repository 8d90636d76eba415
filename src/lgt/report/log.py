"""What a run tells: a CSV row an epoch, and events for whoever shows progress."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lgt.files import storage_errors

COLUMNS = (
    "epoch",
    "step",
    "images",
    "total",
    "style",
    "content",
    "texture",
    "color",
    "feature",
    "perceptual",
    "anchor",
    "identity",
    "velocity",
    "collection",
    "discriminant",
    "recognition",
    "edges",
    "outlines",
    "clutter",
    "learning_rate",
    "gradient_norm",
    "id_swap_distance",
    "seconds",
)
"""Columns of the log. Energies, gradient norm and seconds per step are means over the epoch's steps
(of this process); `id_swap_distance` is measured at its end."""

_COUNTS = frozenset({"epoch", "step", "images"})


class TrainingLog:
    """Appends rows to `training_YYYYMMDD_HHMMSS.csv`; each row is on disk when `write` returns."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        stamp = (now or datetime.now()).strftime("%Y%m%d_%H%M%S")
        self.path = folder / f"training_{stamp}.csv"
        with storage_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists()
            self._file = self.path.open("a", newline="", encoding="utf-8")
            self._writer = csv.DictWriter(self._file, COLUMNS)
            if is_new:
                self._writer.writeheader()
                self._file.flush()

    def write(self, row: dict[str, float]) -> None:
        """Append a row with the names in `COLUMNS`.

        Raises:
            StorageError: The disk is full, or does not take it.
        """
        formats = {name: ".0f" if name in _COUNTS else ".6g" for name in COLUMNS}
        with storage_errors(self.path):
            self._writer.writerow({name: format(row[name], formats[name]) for name in COLUMNS})
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

    def begin(self, first_step: int, total_steps: int, first_epoch: int, epochs: int) -> None:
        """Ignore the start."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Ignore a step."""

    def epoch(self, row: dict[str, float]) -> None:
        """Ignore a row."""

    def message(self, text: str) -> None:
        """Ignore a line."""
