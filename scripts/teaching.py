"""What scripts that teach a network share: a run that can be stopped, how a program ends."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

from lgt.energy.processes import num_processes, summed
from lgt.errors import InputError, LGTError
from lgt.model.checkpoint import Checkpoint, save_content
from lgt.nn import LGTUNet
from lgt.train.average import WeightAverage
from lgt.train.optimizer import Muon
from lgt.train.schedule import learning_rate_at

SAVE_EVERY = 50


class Resumable(Protocol):
    """Has a state of tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        """Return it."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        ...


class Teaching:
    """Steps of Muon along a schedule, the average of the weights, and what is kept of both.

    A loop over it takes a step after each round, down the gradients that the round has left. Every
    fifty steps OUT is written, and beside it what the same command goes on from, until it is done.
    Where several processes run, gradients are summed over them.

    Args:
        checkpoint: What is written, with the weights of `network`.
        network: What is taught.
        words: The command line: `out`, `steps`, `lr`, and whatever else must be the same for a run
            to go on.
        part: What of the network is taught; None: all.
        beside: What else a run goes on with.
        warmup: Steps in which the rate rises.
        decay: Of the average, per step.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        network: LGTUNet,
        words: argparse.Namespace,
        *,
        part: nn.Module | None = None,
        beside: Resumable | None = None,
        warmup: int,
        decay: float,
    ) -> None:
        self.checkpoint, self.network, self.words = checkpoint, network, words
        self.part = network if part is None else part
        self.beside = beside
        self.warmup = min(warmup, words.steps // 4)
        self.optimizer = Muon(self.part, words.lr)
        self.average = WeightAverage(network, decay)
        self.told = ""
        """What is said of a step, such as its loss."""
        self._state = words.out.with_suffix(".state.pt")
        self._settings = {name: str(value) for name, value in vars(words).items()}
        self._settings["processes"] = str(num_processes())
        self._rank = dist.get_rank() if num_processes() > 1 else 0

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the steps that are left.

        Raises:
            LGTError: A file can not be written, or a run with other settings has the place of this.
        """
        first, began = self._begun(), time.monotonic()
        for step in range(first, self.words.steps):
            rate = learning_rate_at(
                step, peak=self.words.lr, total_steps=self.words.steps, warmup_steps=self.warmup
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad()
            yield step
            for parameter in self.part.parameters():
                if parameter.grad is not None:
                    parameter.grad = summed(parameter.grad)
            nn.utils.clip_grad_norm_(self.part.parameters(), 1.0)
            self.optimizer.step()
            self.average.update(self.network, step + 1)
            each = (time.monotonic() - began) / (step + 1 - first)
            self._say(f"step {step + 1}/{self.words.steps}: {self.told}, {each:.2f} s/step")
            if (step + 1) % SAVE_EVERY == 0:
                self._save(step + 1)
        self._save(None)
        self._say(str(self.words.out))

    def _begun(self) -> int:
        """Take up what a run with these settings has left; return how many steps it took."""
        if not self._state.exists():
            return 0
        found = torch.load(self._state, weights_only=True)
        others = [
            name for name, said in self._settings.items() if found["settings"].get(name) != said
        ]
        if others:
            raise InputError(
                f"{self._state}: left by a run with other settings ({', '.join(others)}); give the "
                "same to go on with it, or remove the file"
            )
        self.network.load_state_dict(found["network"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.average.load_state_dict(found["average"])
        if self.beside is not None:
            self.beside.load_state_dict(found["beside"][self._rank])
        self._say(f"going on after step {found['step']}")
        return int(found["step"])

    def _save(self, step: int | None) -> None:
        """Write OUT, and what to go on from; None: all is done."""
        beside = [None if self.beside is None else self.beside.state_dict()]
        if num_processes() > 1:  # Each has its own.
            beside *= num_processes()
            dist.all_gather_object(beside, beside[self._rank])
        if self._rank:
            return
        network, average = self.network.state_dict(), self.average.state_dict()
        replace(self.checkpoint, network=network, ema=average).save(self.words.out)
        if step is None:
            self._state.unlink(missing_ok=True)
            return
        content = {
            "beside": beside,
            "network": network,
            "average": average,
            "settings": self._settings,
            "step": step,
        }
        save_content({"optimizer": self.optimizer.state_dict(), **content}, self._state)

    def _say(self, line: str) -> None:
        if not self._rank:
            say(line)


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def factors(said: str) -> dict[str, float]:
    """Read `name=factor,...`.

    Raises:
        ValueError: It is not of that form.
    """
    pairs = (part.partition("=") for part in said.split(","))
    return {name.strip(): float(factor) for name, _, factor in pairs}


def run(
    teach: Callable[[argparse.Namespace], None],
    parse: Callable[[Sequence[str] | None], argparse.Namespace],
    arguments: Sequence[str] | None,
) -> None:
    """Run a program; what goes wrong is said in a sentence."""
    try:
        teach(parse(arguments))
    except LGTError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
