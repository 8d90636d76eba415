"""Progress of a training run on the terminal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lgt.data.dataset import LatentDataset


class TrainingProgress:
    """A `Reporter` that draws a bar with energy, rate and time left, and a line an epoch."""

    def __init__(self, dataset: LatentDataset, save_dir: Path) -> None:
        self.dataset, self.save_dir = dataset, save_dir
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("E {task.fields[energy]:.4f}  {task.fields[rate]:.2f} s/step"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True, compact=True),
            console=self._console,
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("train", total=None, epoch="", energy=0.0, rate=0.0)
        self._epochs = 0
        self._mean: dict[str, float] = {}

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def begin(self, first_step: int, total_steps: int, epochs: int) -> None:
        """Start the bar and show what is about to run."""
        self._progress.start()
        counts = self.dataset.style_ids.bincount(minlength=self.dataset.num_styles).tolist()
        named = zip(self.dataset.style_names, counts, strict=True)
        styles = ", ".join(f"{name} {count}" for name, count in named)
        channels, height, width = self.dataset.latents.shape[1:]
        self.message(
            f"{len(self.dataset)} latents of {channels} x {height} x {width} ({styles}); "
            f"{total_steps - first_step} steps to {self.save_dir}"
        )
        self._epochs = epochs
        self._progress.update(self._task, total=total_steps, completed=first_step)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Advance the bar; energy and rate are running means over about 20 steps."""
        for name in ("total", "seconds"):
            old = self._mean.get(name, values[name])
            self._mean[name] = old + 0.05 * (values[name] - old)
        total = self._progress.tasks[0].total or 1
        epoch = min(self._epochs, int((step - 1) * self._epochs // total) + 1)
        self._progress.update(
            self._task,
            completed=step,
            epoch=f"{epoch}/{self._epochs}",
            energy=self._mean["total"],
            rate=self._mean["seconds"],
        )

    def epoch(self, row: dict[str, float]) -> None:
        """Print one line of means."""
        self.message(
            f"epoch {row['epoch']:.0f}: E {row['total']:.4f} (style {row['style']:.4f}, content "
            f"{row['content']:.4f}), id swap {row['id_swap_distance']:.3f}, gradient "
            f"{row['gradient_norm']:.3f}, {row['seconds']:.2f} s/step"
        )

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.print(text, highlight=False, soft_wrap=True)
