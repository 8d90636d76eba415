"""Jobs one after another: a bounded queue, one thread that works, results kept for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from lgt.errors import LGTError
from lgt.web.counters import Counters
from lgt.web.shelf import Kept, Shelf

log = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
FINISHED = frozenset({DONE, FAILED, CANCELLED})

MAX_KEPT = 10_000
"""Finished jobs that are remembered: a job without its picture takes about a kilobyte."""
MAX_BYTES = 4 * 2**30
"""Bytes of the pictures that wait to be fetched; they lie in a temporary file, not in memory."""
MAX_AGE = 3600.0
"""Seconds that a picture waits to be fetched, and stays after that."""
_MAX_GONE = 100_000
"""Ids of forgotten jobs that are remembered, to say that they are gone: some 10 MB."""

Work = Callable[[Callable[[float], None]], bytes]
"""Takes the progress callback, returns the result's bytes."""


class QueueFullError(LGTError):
    """As many jobs wait as the server takes."""


class CancelledError(Exception):
    """Raised in the progress callback of a cancelled job, to leave its work."""


@dataclass(eq=False)
class Job:
    """One transfer; the fields are written under the lock of its `Jobs`."""

    label: str
    """Stem of the result's file name."""
    work: Work | None
    """What to do; None once it is finished, so that its photo is freed."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = QUEUED
    progress: float = 0.0
    error: str | None = None
    note: str | None = None
    """What the user should know of the result."""
    result: Kept | None = None
    """The picture; None also where it is no longer kept."""
    created: float = field(default_factory=time.monotonic)
    started: float | None = None
    finished: float | None = None
    used: float = 0.0
    """When it was finished, or its picture was fetched last."""

    @property
    def is_gone(self) -> bool:
        """Whether there was a picture that is no longer kept."""
        return self.state == DONE and self.result is None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINISHED


class Jobs:
    """A queue, its worker thread and its results.

    A result is forgotten an hour after it was finished or fetched. Before that it goes only where
    there is no room for newer ones, those that were fetched first.

    Args:
        max_waiting: Most jobs that wait; the running one does not count.
        max_kept: Most finished jobs that are remembered.
        max_age: Seconds after which a finished job is forgotten.
        max_bytes: Most bytes of all results together; the newest is kept in any case.
    """

    def __init__(
        self,
        max_waiting: int = 8,
        *,
        max_kept: int = MAX_KEPT,
        max_age: float = MAX_AGE,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.max_waiting = max_waiting
        self.max_kept, self.max_age, self.max_bytes = max_kept, max_age, max_bytes
        self.counters = Counters()
        self.shelf = Shelf()
        self._jobs: dict[str, Job] = {}
        self._finished: dict[str, Job] = {}
        self._fetched: dict[str, Job] = {}
        self._gone: dict[str, None] = {}
        self._num_bytes = 0
        self._waiting: deque[Job] = deque()
        self._reserved = 0
        self._running: Job | None = None
        self._is_closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lgt-worker", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether the server is going away."""
        return self._is_closed

    @property
    def num_waiting(self) -> int:
        """Length of the queue, without the running job."""
        return len(self._waiting)

    @property
    def is_running(self) -> bool:
        """Whether a job is being worked on."""
        return self._running is not None

    def retry_after(self) -> int:
        """Seconds until a place in the queue is likely to be free."""
        return max(1, round(self.counters.mean_seconds or 5))

    @contextmanager
    def places(self, number: int) -> Iterator[None]:
        """Hold places in the queue for jobs that are still to be made; see :meth:`add`.

        Raises:
            QueueFullError: There are not that many.
        """
        with self._change:
            taken = len(self._waiting) + self._reserved
            if self._is_closed or number > self.max_waiting - taken:
                self.counters.count("refused", number)
                raise QueueFullError(
                    f"the queue is full: {taken} of {self.max_waiting} places are taken and "
                    f"{number} asked for; try again in {self.retry_after()} s"
                )
            self._reserved += number
        try:
            yield
        finally:
            with self._change:
                self._reserved -= number

    def add(self, jobs: list[Job], *, has_places: bool = False) -> None:
        """Put jobs at the end of the queue: all of them or none.

        Args:
            jobs: The jobs.
            has_places: Whether :meth:`places` holds theirs.

        Raises:
            QueueFullError: There are not that many places, or the server is going away.
        """
        with nullcontext() if has_places else self.places(len(jobs)), self._change:
            if self._is_closed:
                raise QueueFullError("the server is stopping; try again in a while")
            for job in jobs:
                self._jobs[job.id] = job
                self._waiting.append(job)
            self._change.notify_all()

    def get(self, job_id: str) -> Job | None:
        """Return a job; None: unknown, or forgotten."""
        with self._change:
            self._forget()
            return self._jobs.get(job_id)

    def is_gone(self, job_id: str) -> bool:
        """Whether there was a job of this id that is forgotten."""
        with self._change:
            return job_id in self._gone

    def fetched(self, jobs: Iterable[Job]) -> None:
        """Note that the results of jobs were given out: where room is short, they go first."""
        with self._change:
            for job in jobs:
                job.used = time.monotonic()
                for kept in (self._finished, self._fetched):
                    if kept.pop(job.id, None) is not None:
                        self._fetched[job.id] = job

    def describe(self, job: Job) -> dict[str, Any]:
        """Return the state of a job as JSON values; `position` is 1 for the next job to run."""
        with self._change:
            position = self._waiting.index(job) + 1 if job in self._waiting else None
            end = job.finished or time.monotonic()
            return {
                "id": job.id,
                "state": job.state,
                "position": position,
                "progress": round(job.progress, 4),
                "seconds": None if job.started is None else round(end - job.started, 3),
                "error": job.error,
                "note": job.note,
                "is_gone": job.is_gone,
            }

    def cancel(self, job: Job) -> bool:
        """Cancel a job that is not finished; its work stops at its next sign of progress."""
        with self._change:
            if job.is_finished:
                return False
            if job in self._waiting:
                self._waiting.remove(job)
            self._finish(job, CANCELLED)
            return True

    def close(self) -> None:
        """Cancel everything and end the thread when its job lets go."""
        with self._change:
            self._is_closed = True
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                if not job.is_finished:
                    self._finish(job, CANCELLED)
            self._waiting.clear()
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                self._running = None
                self._change.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                job = self._running = self._waiting.popleft()
                job.state, job.started = RUNNING, time.monotonic()
                work = job.work
            if work is not None:
                self._do(job, work)
            del work

    def _do(self, job: Job, work: Work) -> None:
        def progress(fraction: float) -> None:
            if job.is_finished:
                raise CancelledError
            job.progress = max(job.progress, min(float(fraction), 1.0))

        result, message = None, None
        try:
            result = work(progress)
        except CancelledError:
            return
        except LGTError as error:
            message = str(error)
        except Exception as error:  # one bad job must not end the server
            log.exception("a job failed")
            message = _in_plain_words(error)
        kept = None
        try:
            kept = None if result is None else self.shelf.put(result)
        except LGTError as error:
            message = str(error)
        with self._change:
            if job.is_finished:
                return
            if message is None:
                job.result, job.progress = kept, 1.0
                self._finish(job, DONE)
            else:
                job.error = message
                self._finish(job, FAILED)

    def _finish(self, job: Job, state: str) -> None:
        job.state, job.finished, job.work = state, time.monotonic(), None
        job.used = job.finished
        seconds = None if job.started is None else job.finished - job.started
        self.counters.count(state, seconds=seconds)
        self._finished[job.id] = job
        self._num_bytes += _size(job)
        self._forget()

    def _forget(self) -> None:
        """Drop what is too old; where room is short, the oldest of what was fetched, then others.

        The newest stays in any case.
        """
        limit = time.monotonic() - self.max_age
        for kept in (self._fetched, self._finished):
            while kept and (job := next(iter(kept.values()))).used < limit:
                self._drop(job)
        if not (self._is_many() or self._is_large()):
            return
        for job in [*self._fetched.values(), *self._finished.values()][:-1]:
            if self._is_many() or (self._is_large() and job.result is not None):
                self._drop(job)

    def _is_many(self) -> bool:
        return len(self._fetched) + len(self._finished) > self.max_kept

    def _is_large(self) -> bool:
        return self._num_bytes > self.max_bytes

    def _drop(self, job: Job) -> None:
        for kept in (self._jobs, self._fetched, self._finished):
            kept.pop(job.id, None)
        self._gone[job.id] = None
        if len(self._gone) > _MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self._num_bytes -= _size(job)
        job.result = None  # a batch may still know the job


def _size(job: Job) -> int:
    return 0 if job.result is None else job.result.size


def _in_plain_words(error: Exception) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "the server ran out of memory; use a smaller photo"
    return "the server met an unexpected error; its log says more"
