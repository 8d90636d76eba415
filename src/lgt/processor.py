"""What the processor is called and which number formats it computes in, without torch."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

FORMATS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Features, as Linux calls them, on which the speed of one model in several formats depends."""


def processor_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name and those of `FORMATS` that it has.

    Args:
        info: Linux's description; where it is missing, Python's shorter one is returned.
    """
    found: dict[str, str] = {}
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    fallback = platform.processor() or platform.machine() or "not known"
    name = found.get("model name") or found.get("model") or fallback
    flags = (found.get("flags") or found.get("features") or "").split()
    formats = [flag for flag in FORMATS if flag in flags]
    return f"{name} ({', '.join(formats)})" if formats else name


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -4, -3, -1, -2
"""Parameters of glibc's `mallopt`."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors free, for the next ones; tell whether it does.

    The C library of Linux (glibc) gives large blocks back to the system when they are freed, and
    each new one costs a page fault for every 4 kB. Elsewhere nothing is done.
    """
    return _allocate({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26})


def return_freed_memory() -> bool:
    """Let this process give back what large arrays free, at once; tell whether it does.

    glibc keeps more and more of it, in pieces that the next array may not fit: for work on few,
    large arrays. Elsewhere nothing is done.
    """
    return _allocate({_MMAP_THRESHOLD: 2**22, _TRIM_THRESHOLD: 2**24})


def _allocate(settings: dict[int, int]) -> bool:
    """Set parameters of the C library's allocation; tell whether it knows them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(name, value) == 1 for name, value in settings.items())
