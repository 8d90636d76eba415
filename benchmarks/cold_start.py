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
import statistics
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

import lgt  # loads nothing: a child's peak memory would start at this process's
from measuring import Times, machine, paired_processes

PICTURE = Path(lgt.__file__).parent / "assets" / "model" / "source.jpg"


def transfer_command(source: Path, target: Path, style: str = "0") -> list[str]:
    """Return the arguments of Python for `lgt transfer` with what is in the package."""
    command = ["-m", "lgt", "transfer", str(source), str(target), "--style", style]
    command += ["--model", "embedded", "--codec", "embedded", "--backend", "torch"]
    return [*command, "--precision", "fp32"]


def save_picture(path: Path, size: int) -> None:
    """Write the picture of the package, cut to a square."""
    ImageOps.fit(Image.open(PICTURE), (size, size)).save(path)


def medians(times: Times, memories: list[float]) -> dict[str, float]:
    """Return the medians of several processes."""
    return {
        "wall_seconds": round(statistics.median(times.wall), 3),
        "processor_seconds": round(statistics.median(times.cpu), 3),
        "peak_memory_mb": round(statistics.median(memories)),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--style", default="0", help="name or id [0]")
    parser.add_argument("--size", type=int, default=256, help="side in pixels [256]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--repeats", type=int, default=5, help="timed processes [5]")
    args = parser.parse_args()
    shared = {"repeats": args.repeats, **machine(args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jpg"
        save_picture(source, args.size)
        commands = {
            "import_torch": ["-c", "import torch"],
            "cold_start": transfer_command(source, target, args.style),
        }
        found = paired_processes(commands, args.threads, args.repeats)
    for name, result in found.items():
        size = {"size": args.size} if name == "cold_start" else {}
        print(json.dumps({"benchmark": name, **medians(*result), **size, **shared}), flush=True)


if __name__ == "__main__":
    main()
