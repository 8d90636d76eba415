"""Time one training step and its parts, and measure peak memory, for any configuration.

    python benchmarks/train_step.py --set model.base_channels=64

prints one JSON line: medians over steps in seconds, the energy's share, operations and the fraction
reached of the rate of matrix products (same process, same precision, in turns with the steps),
parameters, peak memory and the machine. Seconds are the processor's, divided by the threads, so
that other programs on the machine count less; `wall_seconds` are the clock's. Latents are random
numbers of unit variance; their values change no cost.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from lgt.build import build_bank, build_network, build_perceptual_network
from lgt.config import parse_config
from lgt.config.schema import Config
from lgt.data.dataset import LatentDataset, random_windows, sample_batch
from lgt.device import works_in_bf16
from lgt.train.memory import STABLE_DIFFUSION
from lgt.train.objective import FreeEnergyObjective, build_objective
from measuring import (
    convolution_share,
    count_operations,
    machine,
    matrix_product,
    peak_memory_mb,
    spread,
)

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


@dataclass
class Step:
    """A training step whose parts can be timed; as `lgt train` does it."""

    config: Config
    objective: FreeEnergyObjective
    optimizer: torch.optim.Optimizer
    dataset: LatentDataset
    generator: torch.Generator

    @classmethod
    def build(cls, config: Config, latent_size: int) -> Step:
        """Build network, energy and optimiser.

        Raises:
            SystemExit: The objective has no energy.
        """
        model = config.model
        dataset = random_dataset(model.num_styles, model.latent_channels, latent_size)
        network = build_network(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        bank = build_bank(config, dataset.latents, dataset.style_ids)
        features = build_perceptual_network(config, STABLE_DIFFUSION)
        objective = build_objective(config, network, bank, features)
        if not isinstance(objective, FreeEnergyObjective):
            raise SystemExit("only training.objective=lgt has an energy to time")
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
        return cls(config, objective, optimizer, dataset, torch.Generator().manual_seed(0))

    @property
    def dtype(self) -> torch.dtype:
        """What the convolutions compute in."""
        is_reduced = works_in_bf16(self.config.training.mixed_precision, "cpu")
        return torch.bfloat16 if is_reduced else torch.float32

    def __call__(self) -> list[float]:
        """Do one step; return the seconds of `PARTS`."""
        marks = [time.process_time()]
        training = self.config.training
        batch = sample_batch(self.dataset, training.batch_size, [], self.generator)
        x_src, corner = random_windows(batch.x_src, training.window, self.generator)
        batch = replace(batch, x_src=x_src, corner=corner)
        marks.append(time.process_time())
        is_reduced = self.dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=is_reduced):
            x_1, _ = self.objective.end_state(batch, self.generator)
            marks.append(time.process_time())
            leaf = x_1.detach().float().requires_grad_()
            terms = self.objective.energy_of(leaf, batch, None, self.generator)
        marks.append(time.process_time())
        terms.total.backward()
        marks.append(time.process_time())
        x_1.backward(None if leaf.grad is None else leaf.grad.to(x_1.dtype))
        marks.append(time.process_time())
        limit = self.config.training.grad_clip_norm or float("inf")
        torch.nn.utils.clip_grad_norm_(self.objective.network.parameters(), limit)
        self.optimizer.step()
        self.optimizer.zero_grad()
        marks.append(time.process_time())
        threads = torch.get_num_threads()
        return [(stop - start) / threads for start, stop in zip(marks[:-1], marks[1:], strict=True)]


def measure(config: Config, latent_size: int, repeats: int) -> dict[str, Any]:
    """Return the figures of a step; see the first lines of this file."""
    step = Step.build(config, latent_size)
    products, product_operations = matrix_product(step.dtype)
    threads = torch.get_num_threads()
    rows, whole, walls, rates = [], [], [], []
    for repeat in range(repeats + 2):
        clock = time.perf_counter()
        parts = step()
        clock = time.perf_counter() - clock
        began = time.process_time()
        products()
        rate = product_operations / (time.process_time() - began) * threads
        if repeat >= 2:
            rows.append(parts)
            whole.append(sum(parts))
            walls.append(clock)
            rates.append(rate)
    memory = peak_memory_mb()  # Counting and profiling take their own.
    operations = count_operations(step)
    share = convolution_share(step)
    columns = dict(zip(PARTS, zip(*rows, strict=True), strict=True))
    medians = {part: round(statistics.median(values), 4) for part, values in columns.items()}
    forward, backward = columns["energy_forward"], columns["energy_backward"]
    shares = [(a + b) / c for a, b, c in zip(forward, backward, whole, strict=True)]
    reached = [operations / seconds / rate for seconds, rate in zip(whole, rates, strict=True)]
    return {
        "batch_size": config.training.batch_size,
        "ode_integration_steps": config.training.ode_integration_steps,
        "latent": [config.model.latent_channels, latent_size, latent_size],
        "precision": "bf16" if step.dtype == torch.bfloat16 else "no",
        "parameters": sum(p.numel() for p in step.objective.network.parameters()),
        "seconds": {**medians, "step": round(sum(medians.values()), 4)},
        "wall_seconds": spread(walls),
        "step_seconds": spread(whole),
        "energy_share": round(
            (medians["energy_forward"] + medians["energy_backward"]) / sum(medians.values()), 3
        ),
        "energy_shares": spread(shares, 3),
        "gflop": round(operations / 1e9, 1),
        "matmul_gflops": round(statistics.median(rates) / 1e9, 1),
        "of_matmul": spread(reached, 3),
        "convolution_share": round(share, 3),
        "of_matmul_inside": spread([value / share for value in reached], 3),
        "peak_memory_mb": round(memory),
    }


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
    found = measure(config, args.latent_size, args.repeats)
    line = {"benchmark": "train_step", "settings": args.set, **found, **machine(args.threads)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
