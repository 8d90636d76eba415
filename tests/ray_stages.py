"""Stages that other processes can import: a model that kills its process, or refuses a row."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lgt.errors import InputError

FATAL, REFUSED = 14, -2


def doubled(row: int) -> int:
    return 2 * row


@dataclass(frozen=True)
class Dying:
    """A model whose process is killed, once, while it has rows in hand."""

    marker: Path
    """Is made before."""

    def __call__(self) -> Callable[[list[int]], Iterable[int]]:
        return self.work

    def work(self, rows: list[int]) -> Iterable[int]:
        for row in rows:
            if row == FATAL and not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if row == REFUSED:
                raise InputError("minus one: not for this model")
            yield row + 1
