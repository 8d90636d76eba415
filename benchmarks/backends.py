"""Time a whole transfer on each backend.

    python benchmarks/backends.py

prints JSON lines and, last, the table of `docs/speed.md`. The backends take turns in one process,
so that a busy machine slows them alike: `speedup` is the median over the rounds of torch's
processor seconds over the backend's of the same round. Then come whole commands, each in processes
of its own: wall and processor seconds from the shell to the written picture, and peak memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import lgt  # loads nothing: a child's peak memory would start at this process's
from lgt.processor import processor_name
from measuring import run_process, spread

PICTURE = Path(lgt.__file__).parent / "assets" / "model" / "source.jpg"
BACKENDS = [("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")]
if importlib.util.find_spec("nncf"):
    BACKENDS.append(("openvino", "int8"))


def text(found: Any) -> str:
    """Write what :func:`spread` returned."""
    return f"{found['median']:.3g} ({found['q1']:.3g} to {found['q3']:.3g})"


def cold(path: Path, options: list[str], threads: int, repeats: int) -> dict[str, object]:
    """Time whole commands, after one that fills the caches."""
    command = ["-m", "lgt", "transfer", str(path), str(path.with_suffix(".jpg"))]
    command += ["--style", "vangogh", "--model", "embedded", *options]
    rounds = [run_process(command, threads) for _ in range(repeats + 1)][1:]
    wall, processor, memory = zip(*rounds, strict=True)
    return {
        "wall_s": spread(wall),
        "processor_s": spread(processor),
        "peak_memory_mb": round(statistics.median(memory)),
    }


def warm(image: Image.Image, threads: int, rounds: int) -> list[dict[str, object]]:
    """Time the backends in turns; one row for each."""
    import torch

    from lgt.inference import LGTInference
    from lgt.runtime import Runtime

    torch.set_num_threads(threads)
    network = LGTInference(device="cpu")
    codec = network.load_codec()
    runs: dict[str, Callable[[], Image.Image]] = {
        "torch fp32": lambda: network.stylize(image, "vangogh", codec=codec)
    }
    for backend, precision in BACKENDS:
        engine = Runtime(backend=backend, precision=precision, threads=threads)
        runs[f"{backend} {precision}"] = partial(engine.stylize, image, "vangogh")
    pictures = {name: np.asarray(run(), float) for name, run in runs.items()}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    used: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began, before = time.perf_counter(), time.process_time()
            run()
            used[name].append(time.process_time() - before)
            wall[name].append(time.perf_counter() - began)
    rows = []
    for name in runs:
        far = np.abs(pictures[name] - pictures["torch fp32"])
        ratios = [a / b for a, b in zip(used["torch fp32"], used[name], strict=True)]
        row = {"backend": name, "side": image.width, "threads": threads, "rounds": rounds}
        row |= {"wall_s": spread(wall[name]), "processor_s": spread(used[name])}
        row |= {"speedup": spread(ratios), "largest_difference": int(far.max())}
        rows.append(row | {"mean_difference": round(float(far.mean()), 3)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512], help="[256 512]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--rounds", type=int, default=11, help="[11]")
    parser.add_argument(
        "--repeats", type=int, default=5, help="processes of each command; 0: none [5]"
    )
    args = parser.parse_args()
    packages = ("torch", "openvino", "onnxruntime", "onnx")
    machine = {"machine": processor_name(), **{name: version(name) for name in packages}}
    print(json.dumps({"benchmark": "backends", **machine}), flush=True)
    images = {
        side: ImageOps.fit(Image.open(PICTURE).convert("RGB"), (side, side)) for side in args.sides
    }
    # All commands before torch is loaded here: a child's peak memory starts at this process's.
    commands: dict[tuple[int, str], dict[str, object]] = {}
    for side, image in images.items() if args.repeats else ():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "in.png"
            image.save(path)
            for backend, precision in (("torch", "fp32"), *BACKENDS):
                options = ["--backend", backend, "--precision", precision]
                found = cold(path, options, args.threads, args.repeats)
                commands[side, f"{backend} {precision}"] = found
    table = []
    for side, image in images.items():
        for row in warm(image, args.threads, args.rounds):
            whole = commands.get((side, str(row["backend"])))
            print(json.dumps(row | ({"command": whole} if whole else {})), flush=True)
            table.append((row, whole))
    print("| backend | side | transfer, s | speedup | differs by (mean, max) | command, s | MB |")
    print("|---|---|---|---|---|---|---|")
    for row, whole in table:
        cells = [row["backend"], row["side"], text(row["processor_s"]), text(row["speedup"])]
        cells.append(f"{row['mean_difference']}, {row['largest_difference']}")
        cells += [text(whole["processor_s"]), whole["peak_memory_mb"]] if whole else ["", ""]
        print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
