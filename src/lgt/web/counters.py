"""Numbers of a running server, in the text format of Prometheus."""

from __future__ import annotations

import threading

OUTCOMES = ("done", "failed", "cancelled", "refused")


class Counters:
    """Counts of jobs by outcome, and the seconds spent on the finished ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes = dict.fromkeys(OUTCOMES, 0)
        self._seconds = 0.0
        self._timed = 0

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of a job that ran; None before the first."""
        return self._seconds / self._timed if self._timed else None

    def count(self, outcome: str, number: int = 1, *, seconds: float | None = None) -> None:
        """Add jobs that came to an end."""
        with self._lock:
            self._outcomes[outcome] += number
            if seconds is not None:
                self._seconds += seconds
                self._timed += 1

    def text(self, *, waiting: int, limit: int, running: bool) -> str:
        """Return the exposition text, version 0.0.4."""
        with self._lock:
            jobs = [f'lgt_jobs_total{{outcome="{k}"}} {v}' for k, v in self._outcomes.items()]
            timed = [
                f"lgt_job_seconds_sum {self._seconds:.6f}",
                f"lgt_job_seconds_count {self._timed}",
            ]
        blocks = [
            ("lgt_jobs_total", "counter", "Jobs that came to an end.", jobs),
            ("lgt_job_seconds", "summary", "Seconds of work on jobs that ran.", timed),
            ("lgt_queue_length", "gauge", "Jobs that wait.", [f"lgt_queue_length {waiting}"]),
            ("lgt_queue_limit", "gauge", "Most jobs that may wait.", [f"lgt_queue_limit {limit}"]),
            ("lgt_jobs_running", "gauge", "Jobs at work.", [f"lgt_jobs_running {int(running)}"]),
        ]
        return "".join(
            f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "".join(f"{x}\n" for x in lines)
            for name, kind, text, lines in blocks
        )
