"""Measure training and transfer on a GPU, in less than four minutes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --sides 64 --batch 2 --base_channels 8 --latent_size 8

prints a JSON line for each figure, and last a table. Training: the time of a step, the share of it
in which the device is busy, operations that PyTorch dispatches, copies, sorts and waits among them,
and the device's memory at its peak; with the defaults, and with the width, the optimiser, the
collections and the critics of the shipped recipe, on latents. Transfer: the time of a
picture, alone and in batches, and how far it is from the CPU's. Latents are random numbers; their
values change no cost.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counting import Counts
from lgt.config import parse_config
from lgt.inference import LGTInference
from lgt.processor import processor_name
from lgt.train import Trainer
from lgt.train.memory import GIB, STABLE_DIFFUSION
from measuring import markdown_table, spread
from train_step import random_dataset

WARM_UP = 3
COLLECTIONS = (
    "training.optimizer=muon",
    "loss.collection_gain=10",
    "loss.discriminant_gain=6",
    "loss.recognition_gain=12",
    "loss.critic_gain=2",
    "loss.texture_gain=0",
    "loss.feature_gain=0",
    "training.ode_integration_steps=1",
)
"""The terms of the shipped recipe that need no pictures of works."""


def finish(device: str) -> None:
    """Wait until a device has done what it was asked for."""
    if device != "cpu":
        torch.cuda.synchronize()


def timed(function: Callable[[], object], device: str, repeats: int) -> dict[str, float]:
    """Return the median and the quartiles of a call, in milliseconds."""
    times = []
    for repeat in range(WARM_UP + repeats):
        finish(device)
        began = time.perf_counter()
        function()
        finish(device)
        if repeat >= WARM_UP:
            times.append(1e3 * (time.perf_counter() - began))
    return spread(times, 3)


def busy_ms(function: Callable[[], object], repeats: int) -> float:
    """Return the milliseconds of a call in which a GPU computes or copies."""
    from torch.profiler import ProfilerActivity, profile

    finish("cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(repeats):
            function()
        finish("cuda")
    busy: float = sum(event.self_device_time_total for event in seen.key_averages()) / 1e3 / repeats
    return busy


def training(settings: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of a training step."""
    device, is_gpu = args.device, args.device != "cpu"
    with tempfile.TemporaryDirectory() as folder:
        own = ["checkpoint.num_samples=0", f"checkpoint.save_dir={folder}"]
        config = parse_config("{}", [*own, *settings, *args.set], "defaults")
        dataset = random_dataset(
            config.model.num_styles, config.model.latent_channels, args.latent_size
        )
        dataset.codec = STABLE_DIFFUSION
        dataset.paths = tuple(Path(f"{i}.pt") for i in range(len(dataset)))
        if is_gpu:
            torch.cuda.reset_peak_memory_stats()
        run = Trainer(config, dataset, device=device)

        def step() -> None:
            run._advance()
            run._told()

        times = timed(step, device, args.repeats)
        with Counts(lambda x: x.device.type == torch.device(device).type) as counts:
            step()
        found: dict[str, Any] = {"step_ms": times, **counts.summary()}
        if is_gpu:
            busy = busy_ms(step, args.repeats)
            found["busy_share"] = round(busy / times["median"], 3)
            found["peak_gib"] = round(torch.cuda.max_memory_allocated() / GIB, 3)
        return found


def transfer(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the figures of whole transfers, pixels to pixels."""
    model, judge = LGTInference(device=args.device), LGTInference(device="cpu")
    generator = torch.Generator().manual_seed(0)
    rows = []
    codec, plain = model.load_codec().to(args.device), judge.load_codec()

    def painted(lgt: LGTInference, codec: Any, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            latents = codec.encode(pictures.to(lgt.device))
            moved = lgt.transfer_style(latents, target_style_id="vangogh", seed=0)
            found: Tensor = codec.decode(moved).clamp(0, 1)
            return found.cpu()

    for side, batch in [*((side, 1) for side in args.sides), (args.sides[0], args.batch)]:
        small = torch.rand(batch, 3, side // 8, side // 8, generator=generator)
        pictures = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
        times = timed(partial(painted, model, codec, pictures), args.device, args.repeats)
        ours, theirs = painted(model, codec, pictures[:1]), painted(judge, plain, pictures[:1])
        rows.append(
            {
                "what": f"transfer, {side} px, {batch} at once",
                "picture_ms": {name: value / batch for name, value in times.items()},
                "from_cpu_of_255": round(255 * float((ours - theirs).abs().mean()), 3),
            }
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batch", type=int, default=32, help="pictures at once [32]")
    parser.add_argument("--latent_size", type=int, default=32, help="side of a latent [32]")
    parser.add_argument("--base_channels", type=int, default=0, help="of all trainings [theirs]")
    parser.add_argument("--repeats", type=int, default=10, help="timed calls [10]")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    args = parser.parse_args()
    if args.base_channels:
        args.set.append(f"model.base_channels={args.base_channels}")
    is_gpu = args.device != "cpu"
    name = torch.cuda.get_device_name() if is_gpu else processor_name()
    print(json.dumps({"device": name, "torch": torch.__version__}))
    rows = []
    narrow = ["model.base_channels=48", *COLLECTIONS]
    trainings: dict[str, list[str]] = {"defaults": [], "collections and critics": narrow}
    for what, settings in trainings.items():
        rows.append({"what": f"training, {what}", **training(settings, args)})
        print(json.dumps(rows[-1]))
    for row in transfer(args):
        rows.append(row)
        print(json.dumps(row))
    print(f"\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()
