"""Progress on the terminal: of a training run, and of a count of files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lgt.cli.say import echo
from lgt.names import visible
from lgt.report.log import distances_in
from lgt.stores import shown

if TYPE_CHECKING:
    from lgt.data.dataset import LatentDataset


class Counts(Protocol):
    """How many files of a run are done, and how many of them were skipped or failed."""

    @property
    def done(self) -> int:
        """Files that are through."""

    @property
    def total(self) -> int:
        """Files of the run."""

    @property
    def skipped(self) -> int:
        """Files that needed no work."""

    @property
    def failed(self) -> int:
        """Files that could not be used."""


@contextmanager
def count_bar(description: str, unit: str) -> Iterator[Callable[[Counts], None]]:
    """Show files done, the rate (of those that took work) and the time left.

    Args:
        description: Of the work, such as `encoding`.
        unit: What is counted, such as `images`.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    # Lines for a pipe or file must not turn into lines above the bar.
    bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty())
    task = bar.add_task(description, total=None, start=False, speed="", failed="")

    def show(state: Counts) -> None:
        if not bar.tasks[0].started:  # The time to load the codec does not count.
            bar.start()
            bar.start_task(task)
        elapsed = bar.tasks[0].elapsed or 0.0
        worked = state.done - state.skipped - state.failed
        bar.update(
            task,
            completed=state.done,
            total=state.total,
            speed=f"{worked / elapsed:.1f} {unit}/s" if elapsed > 0 and worked else "",
            failed=f"{state.failed} failed" if state.failed else "",
        )

    try:
        yield show
    finally:
        if bar.tasks[0].started:
            bar.stop()


def print_failures(failed: Sequence[tuple[object, str]], what: str) -> None:
    """List on standard error the files that could not be used, with the reason for each."""
    echo(f"{len(failed)} {what}:", err=True)
    for path, reason in failed:
        echo(f"  - {shown(path) if isinstance(path, Path) else path}: {reason}", err=True)


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
        self._works: Progress | None = None
        self._epoch = self._epochs = 0
        self._mean: dict[str, float] = {}

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for bar in (self._works, self._progress):
            if bar is not None and bar.live.is_started:
                bar.stop()

    def measured(self, done: int, total: int) -> None:
        """Show a bar with the time left."""
        if self._works is None:
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._works = Progress("looking at the works", *columns, console=self._console)
            self._works.add_task("", total=total)
            self._works.start()
        self._works.update(self._works.task_ids[0], completed=done)
        if done == total:
            self._works.stop()
            self._works = None  # They are looked at once more, from afar.

    def begin(self, first_step: int, total_steps: int, first_epoch: int, epochs: int) -> None:
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
        self._epoch, self._epochs = first_epoch, epochs
        self._progress.update(self._task, total=total_steps, completed=first_step)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Advance the bar; energy and rate are running means over about 20 steps."""
        for name in ("total", "seconds"):
            old = self._mean.get(name, values[name])
            self._mean[name] = old + 0.05 * (values[name] - old)
        self._progress.update(
            self._task,
            completed=step,
            epoch=f"{min(self._epoch + 1, self._epochs)}/{self._epochs}",
            energy=self._mean["total"],
            rate=self._mean["seconds"],
        )

    def epoch(self, row: dict[str, float]) -> None:
        """Print one line of means."""
        self._epoch = int(row["epoch"])
        self.message(
            f"epoch {row['epoch']:.0f}: E {row['total']:.4f} (style {row['style']:.4f}, content "
            f"{row['content']:.4f}), id swap {row['id_swap_distance']:.3f}, gradient "
            f"{row['gradient_norm']:.3f}, {row['seconds']:.2f} s/step"
        )
        far = distances_in(row)
        if far:
            styles = ", ".join(f"{visible(name)} {far[name]:.2f}" for name in far)
            self.message(f"  distance to works (photos: 1): {styles}")

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.print(text, highlight=False, soft_wrap=True)
