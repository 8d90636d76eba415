"""Time `lgt transfer` from a JPEG of a camera (12 million pixels) to a JPEG of the same size.

    python benchmarks/large_photo.py

prints JSON lines, two for each backend. `command` is the whole command, from the shell to the
written file: wall and processor seconds, and peak memory in MB (10^6 bytes), of processes that take
turns. `warm` is the same work on a model that has painted before: reading, painting and writing
apart. Where other work shares the cores, `processor_s` over the threads is at best what the wall
clock would show without it. The photo is the one in the package, enlarged, with a little noise. Not
for Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import lgt  # loads nothing: a child's peak memory would start at this process's
from lgt.processor import processor_name
from measuring import paired_processes, spread

PICTURE = Path(lgt.__file__).parent / "assets" / "model" / "source.jpg"
BACKENDS = ("openvino", "torch")
NOISE = 3.0
"""Standard deviation of the photo's noise, in steps of 8 bits."""


def save_photo(path: Path, size: tuple[int, int]) -> None:
    """Write a JPEG such as a camera makes."""
    photo = ImageOps.fit(Image.open(PICTURE).convert("RGB"), size, Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).normal(0, NOISE, (size[1], size[0], 1))
    noisy = np.asarray(photo, np.float32) + noise.astype(np.float32)
    Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)).save(path, quality=90)


def warm(
    backend: str, source: Path, target: Path, *, precision: str, threads: int, rounds: int
) -> dict[str, Any]:
    """Time reading, painting and writing, after a first time."""
    from lgt.image import save_image
    from lgt.paint.picture import read_picture
    from lgt.processor import return_freed_memory

    return_freed_memory()  # As the command does for a large photo.
    paint: Callable[[Image.Image], Image.Image]
    if backend == "torch":
        import torch

        from lgt.device import usual_precision
        from lgt.inference import LGTInference

        torch.set_num_threads(threads)
        number_format = usual_precision("cpu") if precision == "auto" else precision
        network = LGTInference(device="cpu", precision=number_format)
        paint = partial(network.stylize, style="vangogh", codec=network.load_codec())
    else:
        from lgt.runtime import Runtime

        engine = Runtime(backend=backend, precision=precision, threads=threads)
        paint = partial(engine.stylize, style="vangogh")
    found: dict[str, list[float]] = {}
    for done in range(rounds + 1):
        clocks = [(time.perf_counter(), time.process_time())]
        photo = read_picture(source).image
        clocks.append((time.perf_counter(), time.process_time()))
        painted = paint(photo)
        clocks.append((time.perf_counter(), time.process_time()))
        save_image(painted, target)
        clocks.append((time.perf_counter(), time.process_time()))
        for index, name in enumerate(("read", "paint", "write") if done else ()):
            wall, used = (b - a for a, b in zip(*clocks[index : index + 2], strict=True))
            found.setdefault(f"{name}_wall_s", []).append(wall)
            found.setdefault(f"{name}_processor_s", []).append(used)
    return {name: spread(values, 3) for name, values in found.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=[4000, 3000], help="[4000 3000]")
    parser.add_argument("--threads", type=int, default=2, help="[2]")
    parser.add_argument("--repeats", type=int, default=5, help="[5]")
    parser.add_argument("--precision", default="fp32", help="as `lgt transfer` takes it [fp32]")
    parser.add_argument("--backends", nargs="+", default=BACKENDS, help=f"[{' '.join(BACKENDS)}]")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the photo, no more")
    parser.add_argument("--warm", nargs=3, metavar=("BACKEND", "IN", "OUT"), help="that part alone")
    args = parser.parse_args()
    if args.write:
        save_photo(args.write, tuple(args.size))
        return
    if args.warm:
        backend, source, target = args.warm
        counts = {"threads": args.threads, "rounds": args.repeats}
        found = warm(backend, Path(source), Path(target), precision=args.precision, **counts)
        print(json.dumps(found))
        return
    shared = {
        "precision": args.precision,
        "size": args.size,
        "threads": args.threads,
        "machine": processor_name(),
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "photo.jpg", Path(folder) / "painting.jpg"
        # Not here: a child's peak memory starts at this process's.
        write = ["--size", *map(str, args.size), "--write", str(source)]
        subprocess.run([sys.executable, __file__, *write], check=True)
        transfer = ["-m", "lgt", "transfer", str(source), str(target), "--style", "vangogh"]
        transfer += ["--model", "embedded", "--precision", args.precision, "--backend"]
        commands = {backend: [*transfer, backend] for backend in args.backends}
        measured = paired_processes(commands, args.threads, args.repeats)
        for backend, (times, memories) in measured.items():
            row = {
                "wall_s": spread(times.wall, 3),
                "processor_s": spread(times.cpu, 3),
                "peak_memory_mb": round(max(memories)),
            }
            print(json.dumps({"part": "command", "backend": backend, **row, **shared}), flush=True)
            options = ["--threads", str(args.threads), "--repeats", str(args.repeats)]
            options += ["--precision", args.precision]
            done = subprocess.run(
                [sys.executable, __file__, *options, "--warm", backend, str(source), str(target)],
                env=os.environ | {"OMP_NUM_THREADS": str(args.threads)},
                stdout=subprocess.PIPE,
                check=True,
            )
            row = json.loads(done.stdout)
            print(json.dumps({"part": "warm", "backend": backend, **row, **shared}), flush=True)


if __name__ == "__main__":
    main()
