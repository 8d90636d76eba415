"""The process that trains: what accelerate knows of it, and requests to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from lgt.device import works_in_bf16
from lgt.errors import InputError


def make_accelerator(mixed_precision: str, device: str) -> Accelerator:
    """Return an accelerator for `cpu`, `cuda` or `cuda:N`; anything else leaves the choice to it.

    Accelerate keeps one state a process, of the first precision and device. A single process may
    train again with others, so that the state is made anew; an earlier trainer keeps its own
    autocast, which was bound to its network. A device that only imitates bfloat16 works in float32.

    Raises:
        InputError: The device does not take this precision.
    """
    if device.startswith("cuda:"):  # Which accelerate takes by itself else.
        torch.cuda.set_device(device)
    if AcceleratorState._shared_state and PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    mixed_precision = "bf16" if works_in_bf16(mixed_precision, device) else "no"
    try:
        return Accelerator(mixed_precision=mixed_precision, cpu=device == "cpu")
    except ValueError as error:
        raise InputError(
            f"training.mixed_precision={mixed_precision} does not work on this device ({error}); "
            "set it to no"
        ) from error


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; a second one acts as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, _frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, request)
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
