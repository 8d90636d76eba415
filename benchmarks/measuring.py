"""What all benchmarks share: paired times, child processes, the roofline, tables.

Importing this module loads nothing heavy: a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.processor import processor_name

if TYPE_CHECKING:
    import torch

BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
MATRIX_SIDE, PRODUCTS = 768, 4
"""Side of the square matrices whose product is the roofline (of 256 to 2048 about the fastest), and
how many products are timed at once."""


@dataclass
class Times:
    """Wall-clock and processor seconds of each round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        """Return medians and spreads."""
        return {"wall_seconds": spread(self.wall), "cpu_seconds": spread(self.cpu)}


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Return the median and the quartiles."""
    if len(values) == 1:
        low = high = values[0]
    else:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    found = {"median": statistics.median(values), "q1": low, "q3": high}
    return {name: round(value, digits) for name, value in found.items()}


def ratios(of: Sequence[float], over: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of the ratios within each round."""
    return spread([a / b for a, b in zip(of, over, strict=True)], 3)


def paired(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    seconds: float = float("inf"),
) -> dict[str, Times]:
    """Time functions in turns, so that whatever else the machine does meets all of them alike.

    Args:
        functions: Each is called once untimed first.
        repeats: Rounds.
        seconds: No further round begins after this time, but there are three at least (or
            `repeats`).
    """
    for function in functions.values():
        function()
    began = time.perf_counter()
    found = {name: Times() for name in functions}
    for done in range(repeats):
        if done >= 3 and time.perf_counter() - began > seconds:
            break
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            found[name].wall.append(time.perf_counter() - wall)
            found[name].cpu.append(time.process_time() - cpu)
    return found


def run_process(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """Run Python with arguments; return wall seconds, processor seconds and peak memory in MB.

    It keeps the modules that it compiles, as Python does unless it is told not to: compiling those
    of torch anew takes longer than their import.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(arguments)} failed:\n{output.read().decode()}")
    memory = usage.ru_maxrss * BYTES_OF_MAXRSS / 1e6
    return wall, usage.ru_utime + usage.ru_stime, memory


def paired_processes(
    commands: Mapping[str, list[str]], threads: int, repeats: int
) -> dict[str, tuple[Times, list[float]]]:
    """Run Python with each list of arguments, in turns, after one round that fills the file cache.

    Returns:
        Times, and peak memory in MB, of each.
    """
    found: dict[str, tuple[Times, list[float]]] = {name: (Times(), []) for name in commands}
    for done in range(repeats + 1):
        for name, arguments in commands.items():
            wall, cpu, memory = run_process(arguments, threads)
            if done:
                times, memories = found[name]
                times.wall.append(wall)
                times.cpu.append(cpu)
                memories.append(memory)
    return found


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent had before it started us
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_MAXRSS / 1e6


def machine(threads: int) -> dict[str, Any]:
    """Return what numbers depend on beside the code."""
    return {
        "threads": threads,
        "machine": processor_name(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def matrix_product(dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """Return a few products of square matrices, and their floating-point operations."""
    import torch

    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE).to(dtype).unbind()
    out = torch.empty_like(a)

    def products() -> None:
        for _ in range(PRODUCTS):
            torch.mm(a, b, out=out)

    return products, 2.0 * PRODUCTS * MATRIX_SIDE**3


def count_operations(function: Callable[[], object]) -> float:
    """Return the floating-point operations of matrix products and convolutions in a call.

    PyTorch's counter takes a grouped convolution's backward pass for a full one; here it does not.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def convolution(*shapes: Any, out_shape: Any = None, **_: Any) -> int:
        x, weight, is_transposed = shapes[0], shapes[1], shapes[6]
        # Each tap of the kernel meets each position: of the output, or transposed of the input.
        positions = (x if is_transposed else out_shape)[2:]
        return int(2 * x[0] * math.prod(positions) * math.prod(weight))

    def convolution_backward(*shapes: Any, **_: Any) -> int:
        (grad, x, weight), is_transposed, wanted = shapes[:3], shapes[7], shapes[10]
        positions = (x if is_transposed else grad)[2:]
        return int(2 * x[0] * math.prod(positions) * math.prod(weight) * (wanted[0] + wanted[1]))

    operations = torch.ops.aten
    mapping = {
        operations.convolution: convolution,
        operations._convolution: convolution,
        operations.convolution_backward: convolution_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        function()
    return float(counter.get_total_flops())


def convolution_share(function: Callable[[], object]) -> float:
    """Return the share of a call's time that is spent inside convolutions."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        function()
    inside = whole = 0.0
    for event in seen.key_averages():
        whole += event.self_cpu_time_total
        if event.key.startswith("aten::") and "conv" in event.key:
            inside += event.self_cpu_time_total
    return inside / whole


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; spreads as `median (q1 - q3)`, absent values empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"{value['median']:.4g} ({value['q1']:.4g} - {value['q3']:.4g})"
        return "" if value is None else str(value)

    lines = [columns, ["---"] * len(columns)]
    lines += [[cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
