"""What scripts that teach a network share: how a program begins, speaks and ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from lgt.cli.say import is_first
from lgt.errors import LGTError
from lgt.train.teaching import Lessons, Standing

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def lessons_of(words: argparse.Namespace, *, warmup: int, decay: float) -> Lessons:
    """Return how long and how fast a command line asks to teach.

    Args:
        words: The command line: `out`, `steps`, `lr`, and whatever else must be the same for a run
            to go on.
        warmup: Steps in which the rate rises.
        decay: Of the average of the weights, per step.
    """
    settings = {name: str(value) for name, value in vars(words).items()}
    return Lessons(
        out=words.out,
        steps=words.steps,
        rate=words.lr,
        warmup=warmup,
        decay=decay,
        settings=settings,
    )


def tell(standing: Standing, steps: int) -> None:
    """Write where a run stands."""
    say(f"step {standing.step}/{steps}: {standing.told}, {standing.seconds:.2f} s/step")


def leave(words: argparse.Namespace, is_done: bool) -> None:
    """Say what a run has written, or how it goes on; end the program where it was interrupted."""
    if is_done:
        say(str(words.out))
        return
    say("stopped; the same command goes on")
    sys.exit(INTERRUPTED)


def say(line: str) -> None:
    """Write a line at once; of several processes the first one does."""
    if not is_first():
        return
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
