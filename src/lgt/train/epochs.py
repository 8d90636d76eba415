"""Which epoch a run is in: counted, not computed, so that other settings may follow on a resume."""

from __future__ import annotations

from dataclasses import replace

from lgt.model.progress import Progress
from lgt.report.log import Means


class EpochCounter:
    """Counts steps, epochs and sources, and averages the numbers of an epoch.

    Epochs go on from a checkpoint, whatever their length: with another number of steps the epoch
    under way is begun anew, and what is left of the run is counted in epochs of the new length.

    Args:
        steps_per_epoch: Steps in an epoch from here on.
        batch_size: Sources of a step, of all processes.
        progress: Of the checkpoint that the run goes on from.
        step: Steps done in it.
    """

    def __init__(
        self, steps_per_epoch: int, batch_size: int, progress: Progress | None = None, step: int = 0
    ) -> None:
        self.batch_size = batch_size
        known = progress or Progress(0, 0, steps_per_epoch, 0)
        self.steps_before = known.steps_per_epoch
        """Length of an epoch in the checkpoint."""
        if known.steps_per_epoch != steps_per_epoch:
            known = replace(known, epoch_steps=0, steps_per_epoch=steps_per_epoch, sums={})
        self.steps_per_epoch = steps_per_epoch
        self.epoch, self.images = known.epoch, known.images
        self._begin = step - known.epoch_steps
        self._means = Means(known.sums, known.epoch_steps if known.sums else 0)

    def total(self, num_epochs: int) -> int:
        """Return the step at which `num_epochs` epochs are complete."""
        return self._begin + (num_epochs - self.epoch) * self.steps_per_epoch

    def take(self, values: dict[str, float]) -> None:
        """Take the numbers of one step."""
        self.images += self.batch_size
        self._means.add(values)

    def is_over(self, step: int) -> bool:
        """Tell whether the epoch under way is complete after `step` steps."""
        return step - self._begin >= self.steps_per_epoch

    def finish(self, step: int) -> dict[str, float]:
        """Begin the next epoch; return the means of the one that is over."""
        self.epoch += 1
        self._begin = step
        return self._means.result()

    def progress(self, step: int) -> Progress:
        """Return what a checkpoint keeps."""
        done = step - self._begin
        sums = self._means.sums if self._means.count == done else {}
        return Progress(self.epoch, done, self.steps_per_epoch, self.images, dict(sums))
