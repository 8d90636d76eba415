"""Server-sent events: the state of a job or a batch, whenever it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.responses import Response, StreamingResponse

from lgt.web.jobs import FINISHED, Jobs

POLL, KEEP_ALIVE = 0.1, 15.0
"""Seconds between looks at a job, and between signs of life in a stream of events."""

Describe = Callable[[], dict[str, Any]]
"""Returns a `state`, and what else there is to tell, as JSON values."""


def stream(jobs: Jobs, describe: Describe) -> Response:
    """Return a stream of events named after the `state`, which ends with a final one."""
    headers = {"X-Accel-Buffering": "no"}
    events = _events(jobs, describe)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(jobs: Jobs, describe: Describe) -> AsyncIterator[str]:
    last, quiet = "", 0.0
    while True:
        is_last = jobs.is_closed  # Before the look: closing gives each job its final state.
        state = describe()
        shown = _without_clock(state)
        if shown != last:
            yield f"event: {state['state']}\ndata: {json.dumps(state)}\n\n"
            last, quiet = shown, 0.0
        elif quiet >= KEEP_ALIVE:
            yield ": waiting\n\n"
            quiet = 0.0
        if state["state"] in FINISHED or is_last:
            return
        await asyncio.sleep(POLL)
        quiet += POLL


def _without_clock(state: dict[str, Any]) -> str:
    parts = [part | {"seconds": None} for part in state.get("jobs", [])]
    return json.dumps(state | {"seconds": None, "jobs": parts})
