"""Teach a part of a trained network: a schedule, an average of its weights, and what is kept."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from lgt.energy.processes import num_processes, summed
from lgt.errors import InputError, TrainingError
from lgt.model.checkpoint import Checkpoint, save_content
from lgt.train.average import WeightAverage
from lgt.train.optimizer import Muon
from lgt.train.process import stop_requests
from lgt.train.schedule import learning_rate_at

SAVE_EVERY = 50
MEMORY = 0.9
"""Of what is said of a style: how much of it is of the pictures before."""

Weights = dict[str, Tensor]
Write = Callable[[Weights, Weights], None]
"""Writes weights, and their average."""


def state_of(out: Path) -> Path:
    """Return where a run that writes a checkpoint leaves what it goes on from."""
    return out.with_suffix(".state.pt")


def as_checkpoint(checkpoint: Checkpoint, out: Path) -> Write:
    """Return what writes a checkpoint with other weights to `out`."""

    def write(network: Weights, average: Weights) -> None:
        replace(checkpoint, network=network, ema=average).save(out)

    return write


class Teacher(ABC):
    """What is learned from, picture by picture."""

    asked: str
    """What :meth:`learn` returns, in a word."""

    @abstractmethod
    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and what is asked of it.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a stopped run needs beside weights: nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with it."""
        del state


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """How long and how fast a network is taught."""

    out: Path
    """What is written; beside it lies what an interrupted run goes on from."""
    steps: int
    first: int = 0
    """Of these, steps of a part that has a schedule of its own, before the rest."""
    rate: float
    """Peak learning rate."""
    warmup: int
    """Steps in which it rises, in each part; at most a quarter of it."""
    decay: float
    """Of the average of the weights, per step."""
    settings: Mapping[str, str]
    """What must be the same for a run to go on, by the names that a user knows."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands after a step."""

    step: int
    """Steps done."""
    seconds: float
    """Of a step, in the mean of some ten."""
    told: str
    """What is said of the step, such as its loss."""


class Teaching:
    """Steps of Muon along a schedule, the average of the weights, and what is kept of both.

    A loop over it takes a step after each round, down the gradients that the round has left. Every
    fifty steps, and where it is interrupted, the weights are written and beside them what the same
    command goes on from, until all is done. Where several processes run, gradients are summed over
    them.

    Args:
        network: What is taught.
        lessons: How long and how fast.
        write: Writes `lessons.out`.
        part: What of the network is taught; None: all.
        beside: What is learned from, and has a state that a run goes on with.
        report: Is told after each step, in the first process.
        saved: Is called when it was written, in the first process; the network has the
            averaged weights then.

    Raises:
        InputError: A run with other settings has the place of this.
    """

    def __init__(
        self,
        network: nn.Module,
        lessons: Lessons,
        write: Write,
        *,
        part: nn.Module | None = None,
        beside: Teacher | None = None,
        report: Callable[[Standing], None] = lambda _: None,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.network, self.lessons, self.write = network, lessons, write
        self.part = network if part is None else part
        self.beside, self.report, self.saved = beside, report, saved
        self.optimizer = Muon(self.part, lessons.rate)
        self.average = WeightAverage(network, lessons.decay)
        self.told = ""
        """What is said of a step, such as its loss."""
        self._state = state_of(lessons.out)
        self._settings = {**lessons.settings, "processes": str(num_processes())}
        self._is_first = num_processes() == 1 or dist.get_rank() == 0
        self._found = self._left()
        self.done = 0 if self._found is None else int(self._found["step"])
        """Steps done."""

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the steps that are left, or of those until it is interrupted.

        Raises:
            LGTError: A file can not be written, or the gradients are not finite.
        """
        steps = self.lessons.steps
        self._take_up()
        first, each, before = self.done, 0.0, time.monotonic()
        with stop_requests() as stop:
            for step in range(first, steps):
                self._set_rate(step)
                self.optimizer.zero_grad()
                yield step
                self._advance()
                self.done = step + 1
                took, before = time.monotonic() - before, time.monotonic()
                each += (took - each) * max(0.1, 1 / (self.done - first))
                if self._is_first:
                    self.report(Standing(self.done, each, self.told))
                # Processes must agree to leave, or one waits for the others' gradients forever.
                is_asked = bool(summed(torch.tensor(float(stop.is_set()), device=self._device)))
                if self.done < steps and (self.done % SAVE_EVERY == 0 or is_asked):
                    self._save()
                if is_asked and not self.is_done:
                    return
        self._save()

    @property
    def is_done(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.lessons.steps

    @property
    def _device(self) -> torch.device:
        return next(self.part.parameters()).device

    def _set_rate(self, step: int) -> None:
        lessons, first = self.lessons, self.lessons.first
        begun, steps = (0, first) if step < first else (first, lessons.steps - first)
        warmup = min(lessons.warmup, steps // 4)
        rate = learning_rate_at(
            step - begun, peak=lessons.rate, total_steps=steps, warmup_steps=warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _advance(self) -> None:
        for parameter in self.part.parameters():
            if parameter.grad is not None:
                parameter.grad = summed(parameter.grad)
        norm = nn.utils.clip_grad_norm_(self.part.parameters(), 1.0)
        if not bool(norm.isfinite()):  # The same in all processes.
            raise TrainingError(
                f"step {self.done + 1}: {self.told}: the gradients are not finite; what was "
                "written last is as it was. Give a lower learning rate, or another seed"
            )
        self.optimizer.step()
        self.average.update(self.network, self.done + 1)

    def _left(self) -> dict[str, Any] | None:
        """Return what a run with these settings has left, if there was one."""
        if not self._state.exists():
            return None
        found: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True)
        others = [
            name for name, said in self._settings.items() if found["settings"].get(name) != said
        ]
        if others:
            raise InputError(
                f"{self._state}: left by a run with other settings ({', '.join(others)}); give the "
                "same to go on with it, or remove the file"
            )
        return found

    def _take_up(self) -> None:
        """Go on with what was found."""
        found, self._found = self._found, None
        if found is None:
            return
        self.network.load_state_dict(found["network"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.average.load_state_dict(found["average"])
        if self.beside is not None:
            rank = dist.get_rank() if num_processes() > 1 else 0
            self.beside.load_state_dict(found["beside"][rank])

    def _save(self) -> None:
        """Write what to go on from, if all is not done, and the weights."""
        state = None if self.beside is None else self.beside.state_dict()
        beside = [tree_map_only(Tensor, Tensor.cpu, state)]
        if num_processes() > 1:  # Each has its own.
            beside *= num_processes()
            dist.all_gather_object(beside, beside[dist.get_rank()])
        if not self._is_first:
            return
        network = self.network.state_dict()
        average = self.average.state_dict() or network
        if not self.is_done:  # First, so that what an unfinished run has written is never alone.
            content = {
                "beside": beside,
                "network": network,
                "average": average,
                "settings": self._settings,
                "step": self.done,
            }
            save_content({"optimizer": self.optimizer.state_dict(), **content}, self._state)
        self.write(network, average)
        if self.is_done:
            self._state.unlink(missing_ok=True)
        with self.average.weights_of(self.network):
            self.saved()


def follow(teaching: Teaching, teacher: Teacher, batch: int, say: Callable[[str], None]) -> bool:
    """Take the steps that are left of a run, in one process or several.

    Args:
        teaching: The run.
        teacher: What is learned from.
        batch: Pictures a step and process.
        say: Is told whether an earlier run goes on.

    Returns:
        Whether it was not interrupted.

    Raises:
        LGTError: A file can not be read or written.
    """
    count, means = num_processes(), dict[str, dict[int, float]]()
    rank = dist.get_rank() if count > 1 else 0
    teaching.saved()
    if teaching.done:
        say(f"going on after step {teaching.done}")
    for step in teaching:
        for index in range(batch):
            number = (step * count + rank) * batch + index
            style, value = teacher.learn(number, 1 / (batch * count))
            known = means.setdefault(teacher.asked, {})
            known[style] = value + MEMORY * (known.get(style, value) - value)
        teaching.told = f"{teacher.asked} {sum(known.values()) / len(known):.4g}"
    return teaching.is_done
