"""Jobs one after another: a bounded queue, one thread that works, results kept for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lgt.errors import LGTError
from lgt.web.counters import Counters

log = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
FINISHED = frozenset({DONE, FAILED, CANCELLED})

Work = Callable[[Callable[[float], None]], bytes]
"""Takes the progress callback, returns the result's bytes."""


class QueueFullError(LGTError):
    """As many jobs wait as the server takes."""


class CancelledError(Exception):
    """Raised in the progress callback of a cancelled job, to leave its work."""


@dataclass
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
    result: bytes | None = None
    created: float = field(default_factory=time.monotonic)
    started: float | None = None
    finished: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINISHED


class Jobs:
    """A queue, its worker thread and its results.

    Args:
        max_waiting: Most jobs that wait; the running one does not count.
        max_kept: Most finished jobs that are remembered; the oldest go first.
        max_age: Seconds after which a finished job is forgotten.
        max_bytes: Most bytes of all results together; the newest is kept in any case.
    """

    def __init__(
        self,
        max_waiting: int = 8,
        *,
        max_kept: int = 64,
        max_age: float = 3600.0,
        max_bytes: int = 512 * 2**20,
    ) -> None:
        self.max_waiting = max_waiting
        self.max_kept, self.max_age, self.max_bytes = max_kept, max_age, max_bytes
        self.counters = Counters()
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
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

    def add(self, jobs: list[Job]) -> None:
        """Put jobs at the end of the queue: all of them or none.

        Raises:
            QueueFullError: There are not that many places.
        """
        with self._change:
            free = self.max_waiting - len(self._waiting)
            if self._is_closed or len(jobs) > free:
                self.counters.count("refused", len(jobs))
                raise QueueFullError(
                    f"the queue is full: {len(self._waiting)} of {self.max_waiting} places are "
                    f"taken and {len(jobs)} asked for; try again in {self.retry_after()} s"
                )
            for job in jobs:
                self._jobs[job.id] = job
                self._waiting.append(job)
            self._change.notify_all()

    def get(self, job_id: str) -> Job | None:
        """Return a job; None: unknown, or forgotten."""
        with self._change:
            self._forget()
            return self._jobs.get(job_id)

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
        with self._change:
            if job.is_finished:
                return
            if message is None:
                job.result, job.progress = result, 1.0
                self._finish(job, DONE)
            else:
                job.error = message
                self._finish(job, FAILED)

    def _finish(self, job: Job, state: str) -> None:
        job.state, job.finished, job.work = state, time.monotonic(), None
        seconds = None if job.started is None else job.finished - job.started
        self.counters.count(state, seconds=seconds)
        self._forget()

    def _forget(self) -> None:
        """Drop what is too old, too many or too large, oldest first."""
        now = time.monotonic()
        done = sorted((j for j in self._jobs.values() if j.finished), key=lambda j: j.finished or 0)
        num_bytes = sum(len(job.result or b"") for job in done)
        for index, job in enumerate(done):
            rest = len(done) - index
            is_old = now - (job.finished or now) > self.max_age
            if is_old or rest > self.max_kept or (num_bytes > self.max_bytes and rest > 1):
                num_bytes -= len(job.result or b"")
                job.result = None  # a batch may still know the job
                del self._jobs[job.id]


def _in_plain_words(error: Exception) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "the server ran out of memory; use a smaller photo"
    return "the server met an unexpected error; its log says more"
