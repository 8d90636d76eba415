"""Time a whole transfer on each backend, in turns; JSON lines.

Usage: backends.py [SIDE [ROUNDS]]
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
from PIL import Image

from lgt.inference import LGTInference
from lgt.runtime import Runtime


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    torch.set_num_threads(1)
    noise = Image.effect_noise((side // 8, side // 8), 60).convert("RGB")
    image = noise.resize((side, side), Image.Resampling.BICUBIC)
    network = LGTInference(device="cpu")
    codec = network.load_codec()
    runs = {"torch fp32": lambda: network.stylize(image, "monet", codec=codec)}
    for name, backend, precision in (
        ("onnx fp32", "onnx", "fp32"),
        ("openvino fp32", "openvino", "fp32"),
        ("openvino bf16", "openvino", "bf16"),
    ):
        runtime = Runtime(backend=backend, precision=precision, threads=1)
        runs[name] = lambda runtime=runtime: runtime.stylize(image, "monet")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if i:
                seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        row = {"backend": name, "side": side, "median_s": round(statistics.median(values), 4)}
        row |= {"min_s": round(min(values), 4), "max_s": round(max(values), 4)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()
