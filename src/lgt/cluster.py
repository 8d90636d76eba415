"""Work on many processes and machines through Ray Data, which schedules, waits and tries again.

Rows go through three stages: one reads, one computes (its processes hold a model, loaded once), one
writes. Ray is imported where it is asked for.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from lgt.errors import InputError, LGTError
from lgt.extras import pip_install

ENGINES = ("local", "ray")
"""What `--engine` takes."""
_COMPUTES, _MOVES = 0.75, 0.125
"""Share of a core that Ray reserves for a process that computes, and for one that reads or writes:
together they are a core."""
_HELD = 0.5
"""Seconds that a row which is done may wait for others: a stage that gives on each by itself waits
for whoever takes it."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Nothing is sent anywhere.
    "RAY_worker_niceness": "0",  # As the command itself runs.
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # Its core writes to the terminal: warnings of its own use.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Processes without a GPU keep their settings.
}


@dataclass(frozen=True)
class Spread:
    """Where the processes run, and how many compute."""

    address: str | None = None
    """Of a cluster, such as `auto` or `ray://host:10001`; None: this machine."""
    workers: int | None = None
    """Processes that compute; None: one for each GPU if they use it, else for each core."""
    uses_gpu: bool = False
    """Whether each takes a GPU."""


@dataclass(frozen=True)
class Stages:
    """What is done to the rows of a block; all of it is sent to other processes.

    What a stage raises ends the run: what is wrong with one row belongs into what it gives.
    """

    read: Callable[[Any], Any]
    """Takes a row, gives one."""
    make: Callable[[], Callable[[list[Any]], Iterable[Any]]]
    """Called once in each process that computes: loads a model, returns what it does with rows."""
    write: Callable[[Any], Any]
    """Takes a row, gives one."""


def through(
    rows: Sequence[Any], stages: Stages, spread: Spread, *, block: int = 8
) -> Generator[Any, None, None]:
    """Yield what the stages make of rows, in the order in which it is done.

    A process that is lost is replaced by Ray, and its block of rows is done again.

    Args:
        rows: Objects that can be pickled.
        stages: What is done to each.
        spread: Where.
        block: Rows that go together; as many at most are done again.

    Raises:
        InputError: Ray is not installed, or does not answer.
        LGTError: A stage raised it.
    """
    if not rows:
        return
    with _connected(spread) as ray:
        room = _capacity(ray, spread)
        workers = min(spread.workers or room, room)
        table = [{"row": pickle.dumps(row)} for row in rows]
        data = ray.data.from_items(table, override_num_blocks=-(-len(table) // block))
        moving = ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, workers // 2))
        computing = ray.data.ActorPoolStrategy(size=min(workers, len(rows)))
        for make, pool, share in (
            (_Each(stages.read), moving, _MOVES),
            (stages.make, computing, _COMPUTES),
            (_Each(stages.write), moving, _MOVES),
        ):
            takes = {"num_gpus": 1} if pool is computing and spread.uses_gpu else {}
            data = data.map_batches(
                _Stage,
                fn_constructor_args=(make,),
                compute=pool,
                num_cpus=share,
                batch_size=None,
                batch_format="pyarrow",
                **takes,
            )
        try:
            for batch in data.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                for row in map(pickle.loads, batch.column("row").to_pylist()):
                    if isinstance(row, _Failure):
                        raise row.error
                    yield row
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = lines[-1].strip() if lines else type(error).__name__
            raise InputError(f"engine ray: the work failed ({said})") from error


@dataclass(frozen=True)
class _Failure:
    """What ends the run, on its way to whoever started it: Ray would add words of its own."""

    error: LGTError


class _Stage:
    """A stage in its process: rows in, rows out, given on while others are still computed."""

    def __init__(self, make: Callable[[], Callable[[list[Any]], Iterable[Any]]]) -> None:
        self.failure: _Failure | None = None
        try:
            self.do = make()
        except LGTError as error:
            self.failure = _Failure(error)

    def __call__(self, batch: Any) -> Iterator[Any]:
        import pyarrow

        held: list[bytes] = []
        began = time.monotonic()
        for row in self._done(list(map(pickle.loads, batch.column("row").to_pylist()))):
            held.append(pickle.dumps(row))
            if time.monotonic() - began >= _HELD:
                yield pyarrow.table({"row": pyarrow.array(held, pyarrow.large_binary())})
                held, began = [], time.monotonic()
        if held:
            yield pyarrow.table({"row": pyarrow.array(held, pyarrow.large_binary())})

    def _done(self, rows: list[Any]) -> Iterator[Any]:
        if self.failure is not None:
            yield self.failure
            return
        failed = [row for row in rows if isinstance(row, _Failure)]
        whole = [row for row in rows if not isinstance(row, _Failure)]
        try:
            if whole:
                yield from self.do(whole)
        except LGTError as error:
            failed.append(_Failure(error))
        yield from failed[:1]


@dataclass(frozen=True)
class _Each:
    """Makes what does the same to each row."""

    do: Callable[[Any], Any]

    def __call__(self) -> Callable[[list[Any]], Iterable[Any]]:
        return partial(map, self.do)


@contextmanager
def _connected(spread: Spread) -> Iterator[Any]:
    """Start Ray on this machine, or join a cluster; leave it at the end."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f"engine ray: Ray can not be loaded ({error}); install it with: "
            f"{pip_install('cluster')}"
        ) from None
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if spread.address is None:
        cpus = None if spread.workers is None else max(spread.workers, os.cpu_count() or 1)
        # Nothing of it is to be reached from other machines.
        options |= {"include_dashboard": False, "num_cpus": cpus, "_node_ip_address": "127.0.0.1"}
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(address=spread.address or "local", **options)
    except Exception as error:  # Of many kinds: no such host, another version, no permission.
        where = spread.address or "this machine"
        raise InputError(
            f"engine ray: can not start on {where} ({str(error).splitlines()[0]}); see that "
            "`ray status` answers there, with the same version of Ray"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    # What goes wrong is said in one sentence; its own log has the rest.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _capacity(ray: Any, spread: Spread) -> int:
    there = ray.cluster_resources()
    return max(1, int(there.get("GPU" if spread.uses_gpu else "CPU", 1)))
