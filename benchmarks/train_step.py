"""Time one training step and its parts, and measure peak memory, for any configuration.

    python benchmarks/train_step.py --set model.base_channels=64

prints one JSON line: medians over steps in seconds, the energy's share, parameters, peak memory and
the machine. Latents are random numbers of unit variance; their values change no cost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time

import torch

from lgt.codec import CodecSpec
from lgt.config import parse_config
from lgt.config.build import build_bank, build_network, build_perceptual_network
from lgt.data.dataset import LatentDataset, sample_batch
from lgt.train.objective import FreeEnergyObjective, build_objective

STABLE_DIFFUSION = CodecSpec(name="stable-diffusion", source="embedded", latent_channels=4)
PARTS = (
    "data",
    "network_forward",
    "energy_forward",
    "energy_backward",
    "network_backward",
    "optimiser",
)


def random_dataset(num_styles: int, channels: int, size: int) -> LatentDataset:
    """Return 64 random latents of each style."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(64 * num_styles, channels, size, size, generator=generator)
    return LatentDataset(
        latents=latents.contiguous(memory_format=torch.channels_last),
        style_ids=torch.arange(num_styles).repeat_interleave(64),
        style_names=tuple(f"style{i}" for i in range(num_styles)),
        codec=None,
        paths=(),
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--latent_size", type=int, default=32, help="side of a latent [32]")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps, after two untimed [5]")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="[all]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = parse_config("{}", args.set, "defaults")
    training = config.training
    dataset = random_dataset(
        config.model.num_styles, config.model.latent_channels, args.latent_size
    )
    network = build_network(config).to(memory_format=torch.channels_last)
    bank = build_bank(config, dataset.latents, dataset.style_ids)
    features = build_perceptual_network(config, STABLE_DIFFUSION)
    if features is not None:
        features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = build_objective(config, network, bank, features)
    if not isinstance(objective, FreeEnergyObjective):
        parser.error("only training.objective=lgt has an energy to time")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    is_reduced = training.mixed_precision == "bf16"
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    generator = torch.Generator().manual_seed(0)
    for repeat in range(args.repeats + 2):
        marks = [time.perf_counter()]
        batch = sample_batch(dataset, training.batch_size, [], generator)
        marks.append(time.perf_counter())
        with torch.autocast("cpu", torch.bfloat16, enabled=is_reduced):
            x_1, _ = objective.end_state(batch, generator)
        marks.append(time.perf_counter())
        leaf = x_1.detach().float().requires_grad_()
        terms = objective.energy_of(leaf, batch, None, generator)
        marks.append(time.perf_counter())
        terms.total.backward()
        marks.append(time.perf_counter())
        x_1.backward(leaf.grad.to(x_1.dtype))
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        if repeat >= 2:
            for part, start, stop in zip(PARTS, marks[:-1], marks[1:], strict=True):
                seconds[part].append(stop - start)
    medians = {part: round(statistics.median(values), 4) for part, values in seconds.items()}
    step = sum(medians.values())
    energy = medians["energy_forward"] + medians["energy_backward"]
    print(
        json.dumps(
            {
                "benchmark": "train_step",
                "settings": args.set,
                "batch_size": training.batch_size,
                "ode_integration_steps": training.ode_integration_steps,
                "latent": [config.model.latent_channels, args.latent_size, args.latent_size],
                "precision": training.mixed_precision,
                "parameters": sum(p.numel() for p in network.parameters()),
                "seconds": {**medians, "step": round(step, 4)},
                "energy_share": round(energy / step, 3),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "threads": torch.get_num_threads(),
                "machine": platform.processor() or platform.machine(),
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
