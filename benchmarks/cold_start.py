"""Time the whole command `lgt transfer IN OUT`, from the shell to the written picture.

    python benchmarks/cold_start.py

prints JSON lines: one for `import torch` alone, which no program can go below, and one for the
command with the codec and the model of the package. Each has medians over several processes of the
wall-clock seconds, of the processor seconds (user and system), and of the peak memory in MB
(10^6 bytes). The picture is the one in the package, cut to a square. Not for Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from PIL import Image, ImageOps

import lgt  # loads nothing: a child's peak memory would start at this process's

PICTURE = Path(lgt.__file__).parent / "assets" / "model" / "source.jpg"
BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


def run(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """Run Python with arguments; return wall seconds, processor seconds and peak memory in MB."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
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


def medians(arguments: list[str], threads: int, repeats: int) -> dict[str, float]:
    """Return the medians over `repeats` processes, after one that fills the file cache."""
    run(arguments, threads)
    found = [run(arguments, threads) for _ in range(repeats)]
    wall, processor, memory = (statistics.median(column) for column in zip(*found, strict=True))
    return {
        "wall_seconds": round(wall, 3),
        "processor_seconds": round(processor, 3),
        "peak_memory_mb": round(memory),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--style", default="0", help="name or id [0]")
    parser.add_argument("--size", type=int, default=256, help="side in pixels [256]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--repeats", type=int, default=5, help="timed processes [5]")
    args = parser.parse_args()
    shared = {
        "repeats": args.repeats,
        "threads": args.threads,
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    result = medians(["-c", "import torch"], args.threads, args.repeats)
    print(json.dumps({"benchmark": "import_torch", **result, **shared}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jpg"
        ImageOps.fit(Image.open(PICTURE), (args.size, args.size)).save(source)
        command = ["-m", "lgt", "transfer", str(source), str(target), "--style", args.style]
        command += ["--model", "embedded", "--codec", "embedded", "--device", "cpu"]
        result = medians(command, args.threads, args.repeats)
    line = {"benchmark": "cold_start", **result, "size": args.size, **shared}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
