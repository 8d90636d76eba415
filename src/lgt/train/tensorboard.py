"""The numbers and pictures of a run for TensorBoard; needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.report.log import distances_in

OPTIMISER = frozenset({"learning_rate", "gradient_norm", "seconds"})


def require_tensorboard() -> type[Any]:
    """Return the class that writes event files.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            f"checkpoint.tensorboard is true, but TensorBoard can not be imported ({error}); "
            f"{pip_install('tensorboard')}, or set checkpoint.tensorboard=false"
        ) from error
    return SummaryWriter


class TensorBoard:
    """Event files of one session.

    Args:
        folder: Where they are written; TensorBoard shows all sessions in it as one run.
        first_step: Steps done before; what an earlier session wrote after it is no longer shown.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        purge = first_step + 1 if folder.is_dir() else None
        self._writer = require_tensorboard()(str(folder), purge_step=purge)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of one step; `step` counts from 1."""
        for name, value in values.items():
            group = "optimiser" if name in OPTIMISER else "energy"
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def epoch(self, step: int, row: Mapping[str, float]) -> None:
        """Write what is measured once an epoch."""
        self._writer.add_scalar("epoch/id_swap_distance", row["id_swap_distance"], step)
        for style, distance in distances_in(row).items():
            self._writer.add_scalar(f"distance/{style}", distance, step)

    def sheet(self, step: int, path: Path) -> None:
        """Write a contact sheet."""
        import numpy as np

        from lgt.image import open_image

        pixels = np.asarray(open_image(path))
        self._writer.add_image("samples", pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Have everything on disk."""
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
