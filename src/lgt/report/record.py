"""What the CSV log of a session does not hold: settings, machine, checkpoints, warnings, its end.

It lies beside the CSV file, as JSON of the same name. Nothing about the user or the machine's name
is in it.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lgt.damage import read_json
from lgt.files import atomic_write
from lgt.processor import processor_name, usable_cores


@dataclass
class SessionRecord:
    """One session: from a start or a resumption to its end."""

    started: str = ""
    """Local time, ISO 8601."""
    first_step: int = 0
    """Steps done before the session."""
    number: int = 0
    """Of the session, from 1 on in its folder of logs: clocks are set back. 0: not known."""
    total_steps: int = 0
    steps_per_epoch: int = 0
    num_processes: int = 1
    styles: dict[str, int] = field(default_factory=dict)
    """Latents of each style."""
    latent_shape: list[int] = field(default_factory=list)
    collapse_limit: float = 0.0
    """Largest id-swap distance that is a collapse, in latent units; 0: none, or not known."""
    config: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    """`step`, `epoch`, `file`, and `sheet`: the contact sheet's name or None."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """`step` and `text`."""
    ended: dict[str, Any] | None = None
    """`step`, `how` (complete, interrupted or failed) and `text`; None while it runs."""

    def save(self, path: Path) -> None:
        """Write the file, or leave what was there."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SessionRecord:
        """Read a file of :meth:`save`; unknown keys are ignored.

        Raises:
            OSError: The file can not be read.
            ValueError: It is not what :meth:`save` writes.
        """
        content = read_json(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004
        default = cls()
        known = {}
        for name, value in asdict(default).items():
            given = content.get(name, value)
            if value is not None and type(given) is not type(value):
                raise ValueError(f"{name} is {given!r}")
            known[name] = given
        return cls(**known)


def next_number(logs: Path) -> int:
    """Return the number of a new session in a folder of logs."""
    numbers = [0]
    for path in logs.glob("training_*.json"):
        with suppress(OSError, ValueError):
            numbers.append(SessionRecord.load(path).number)
    return max(numbers) + 1


def describe_machine(device: str) -> dict[str, str]:
    """Return what a run's speed and memory depend on: name -> text.

    Args:
        device: Where the network is.
    """
    import torch

    from lgt import __version__

    usable = usable_cores()
    found = {
        "device": device,
        "processor": processor_name(),
        "threads": f"{torch.get_num_threads()} of {usable} usable cores",
        "memory": _memory(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "lgt": __version__,
    }
    if device.startswith("cuda"):
        found["device"] = f"{device}: {torch.cuda.get_device_name(device)}"
    return found


def _memory() -> str:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        return f"{total:.1f} GB"
    return "not known"
