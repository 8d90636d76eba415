"""The processor's name, from what Linux says of it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from limits import HANG

from lgt.processor import processor_name

FLAGS = "fpu avx2 avx512f amx_bf16"
X86 = f"processor : 0\nmodel : 85\nmodel name : Some CPU @ 2 GHz\nflags : {FLAGS}\n"
ARM = "processor : 0\nFeatures : fp asimd bf16\n\nModel : Board 5\n"


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (X86, "Some CPU @ 2 GHz (avx2, avx512f, amx_bf16)"),
        (X86 + X86.replace("Some", "Other"), "Some CPU @ 2 GHz (avx2, avx512f, amx_bf16)"),
        (ARM, "Board 5 (asimd, bf16)"),
        ("model name : Plain\n", "Plain"),
    ],
)
def test_name_and_formats(info: str, expected: str, tmp_path: Path) -> None:
    place = tmp_path / "cpuinfo"
    place.write_text(info)
    assert processor_name(place) == expected


def test_something_is_said_of_other_systems(tmp_path: Path) -> None:
    assert processor_name(tmp_path / "missing")


FAULTS = """
import os, resource
import torch
from lgt.processor import keep_freed_memory

for mode in ("keep", "give"):
    if os.fork():
        os.wait()
        continue
    if mode == "keep":
        assert keep_freed_memory()
    for _ in range(16):  # The first ones find their places.
        torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2**24)  # 64 MiB each, freed at once
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc gives memory back")
def test_memory_that_is_kept_costs_no_page_faults() -> None:
    program = [sys.executable, "-c", FAULTS]
    done = subprocess.run(program, capture_output=True, text=True, timeout=HANG, check=True)
    kept, given = map(int, done.stdout.split())
    assert kept < given / 10


RETURNED = """
import numpy as np
from lgt.processor import return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

assert return_freed_memory()
before = resident()
for size in (2**23, 2**24, 2**25):  # Each freed one would raise what glibc keeps.
    np.ones(size, np.uint8)
    kept = [np.ones(size // 2, np.uint8) for _ in range(4)]
    del kept[::2]
kept.clear()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps freed memory")
def test_memory_of_large_arrays_is_returned() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RETURNED], capture_output=True, text=True, timeout=HANG, check=True
    )
    assert int(done.stdout) < 2**22
