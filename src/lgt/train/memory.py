"""How much memory a training takes, told before it starts.

One step is run on the CPU with one and with two random latents, and the bytes of all tensors alive
are counted operation by operation. Both the most of them and what the graph keeps grow linearly
with the batch, so the two runs give any batch size. One alone bounds them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lgt.build import (
    build_bank,
    build_network,
    build_perceptual_network,
)
from lgt.codec.spec import CodecSpec
from lgt.config.schema import Config
from lgt.data.dataset import Batch, random_windows
from lgt.device import computes_in_bf16
from lgt.energy import StyleBands
from lgt.errors import InputError
from lgt.nn.statistics import SharedGroupNorm
from lgt.train.objective import FreeEnergyObjective, Objective, build_objective

GIB = 1024**3
CUDA_CONTEXT = 0.6 * GIB
"""What CUDA and its libraries take of a device before the first tensor: 0.4 to 0.7 GiB."""
FRAGMENTATION = 0.1
"""Share by which allocators exceed the bytes of tensors."""
STABLE_DIFFUSION = CodecSpec(name="stable-diffusion", source="embedded", latent_channels=4)
"""The codec assumed where there are no latents yet."""


class LiveBytes(TorchDispatchMode):
    """Count the bytes of tensors made inside this mode that are still alive.

    Attributes:
        now: Bytes alive.
        peak: The most that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and note the storages it made."""
        taken = {storage._cdata for storage in _storages((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            # What an operation was given is no new memory.
            if storage._cdata not in self._seen and storage._cdata not in taken:
                self._seen.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (v.untyped_storage() for v in tree_leaves(values) if isinstance(v, Tensor))


@dataclass(frozen=True)
class StepBytes:
    """Bytes of one training step at one size of latents."""

    frozen: int
    """Weights of the perceptual network."""
    per_latent: float
    """A latent, and the features that the energy keeps of it."""
    saved_fixed: float
    saved_each: float
    """What the graph keeps from the forward to the backward pass: `fixed + batch_size * each`."""
    working_each: float
    """What is alive beside that at the worst moment, for each source of the batch."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training, by what they are for."""

    parameters: float
    """Weights of the velocity field and of the frozen perceptual network."""
    gradients: float
    optimiser: float
    """Two moments of AdamW for each weight."""
    average: float
    """The averaged weights, 0 where `training.ema_decay` is."""
    latents: float
    """Latents of all works and the features kept of them."""
    saved: float
    """Activations that the forward pass keeps for the backward pass."""
    working: float
    """What is alive beside these at the worst moment."""
    overhead: float
    """CUDA's own, and what allocators waste."""

    @property
    def total(self) -> float:
        """Return the sum of all parts, in bytes."""
        return float(sum(vars(self).values()))


def measure_step(
    config: Config,
    latent_size: int,
    *,
    cuda: bool,
    codec: CodecSpec | None = STABLE_DIFFUSION,
    is_bound: bool = False,
) -> StepBytes:
    """Run two small steps on the CPU and count what they keep alive.

    Args:
        config: The configuration.
        latent_size: Side of the latents.
        cuda: Count as CUDA would: its autocast normalises in float32, that of a CPU in bfloat16. A
            processor without bfloat16 counts decoded features in float32 all the same.
        codec: What makes the latents; decides whether there is a perceptual network.
        is_bound: Run the smaller step alone, a third of the work: all that it keeps counts for each
            latent, which is at least what is needed.
    """
    features = None
    if config.training.objective == "lgt":
        features = build_perceptual_network(config, codec)
    config = _in_small(config)
    channels = config.model.latent_channels
    latents = torch.randn(
        4, channels, latent_size, latent_size, generator=Generator().manual_seed(0)
    ).contiguous(memory_format=torch.channels_last)
    network = build_network(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not (cuda or computes_in_bf16("cpu")):
        config = config.model_copy(
            update={"training": config.training.model_copy(update={"mixed_precision": "no"})}
        )
    if cuda and config.training.mixed_precision == "bf16":
        for layer in network.modules():
            if isinstance(layer, SharedGroupNorm):
                layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    bank = build_bank(config, latents, torch.tensor([0, 0, 1, 1]))
    objective = build_objective(config, network, bank, features)
    kept = [latents]
    if isinstance(objective, FreeEnergyObjective):
        bands = objective.energy.term(StyleBands)
        kept += [] if bands is None or bands.feature is None else bands.feature.points
    painted, _ = random_windows(latents, config.training.window, Generator().manual_seed(0))
    saved_1, peak_1 = _run_step(config, objective, painted[:1])
    bound = StepBytes(
        frozen=0 if features is None else _bytes(features),
        per_latent=sum(t.numel() * t.element_size() for t in kept) / len(latents),
        saved_fixed=0,
        saved_each=saved_1,
        working_each=peak_1 - saved_1,
    )
    if is_bound:
        return bound
    saved_2, peak_2 = _run_step(config, objective, painted[:2])
    return replace(
        bound,
        saved_fixed=max(2 * saved_1 - saved_2, 0),
        saved_each=saved_2 - saved_1,
        working_each=(peak_2 - saved_2) / 2,
    )


def estimate(
    config: Config, step: StepBytes, *, batch_size: int, num_latents: int, cuda: bool
) -> MemoryEstimate:
    """Return the memory of a training.

    Args:
        config: The configuration.
        step: From :func:`measure_step`.
        batch_size: Sources per step.
        num_latents: Latents of all styles together.
        cuda: Add what CUDA takes for itself.
    """
    with torch.device("meta"):
        weights = _bytes(build_network(config))
    tensors = MemoryEstimate(
        parameters=weights + step.frozen,
        gradients=weights,
        optimiser=2 * weights,
        average=weights if config.training.ema_decay else 0,
        latents=num_latents * step.per_latent,
        saved=step.saved_fixed + batch_size * step.saved_each,
        working=batch_size * step.working_each,
        overhead=0.0,
    )
    return replace(tensors, overhead=CUDA_CONTEXT + FRAGMENTATION * tensors.total if cuda else 0.0)


def check_memory(
    config: Config,
    latent_shape: Sequence[int],
    num_latents: int,
    codec: CodecSpec | None,
    device: str,
) -> str | None:
    """Compare what a training takes with what its device has free, before anything is there.

    Args:
        config: The configuration.
        latent_shape: Channels, height and width; an oblong counts as the square of its longer side.
        num_latents: Latents of all styles together.
        codec: What made them.
        device: `cpu`, `cuda` or `cuda:N`.

    Returns:
        A warning, if a CPU's memory is too small: the system may still swap, or not.

    Raises:
        InputError: A CUDA device has too little memory.
    """
    is_cuda = device.startswith("cuda")
    free = torch.cuda.mem_get_info(device)[0] if is_cuda else available_memory()
    if free is None:
        return None
    batch_size, size = config.training.batch_size, max(latent_shape[-2:])
    for is_bound in (True, False):  # Where there is plenty, nothing is measured in full.
        step = measure_step(config, size, cuda=is_cuda, codec=codec, is_bound=is_bound)
        needed = estimate(
            config, step, batch_size=batch_size, num_latents=num_latents, cuda=is_cuda
        ).total
        if needed <= free:
            return None
    text = (
        f"training with batch size {batch_size} takes about {needed / GIB:.1f} GiB, and {device} "
        f"has {free / GIB:.1f} GiB free; try {advice(config)} (`lgt memory` prints a table)"
    )
    if is_cuda:
        raise InputError(text)
    return text


def advice(config: Config) -> str:
    """Return what lowers the memory of this training, as a list in words."""
    half = max(config.training.batch_size // 2, 1)
    wanted = [f"--set training.batch_size={half}"] if config.training.batch_size > 1 else []
    if not config.model.use_gradient_checkpointing:
        wanted.append("--set model.use_gradient_checkpointing=true")
    training = config.training
    if training.ode_integration_steps > 2 and not training.random_path:
        wanted.append("--set training.ode_integration_steps=2")
    if config.training.mixed_precision == "no":
        wanted.append("--set training.mixed_precision=bf16")
    if config.model.base_channels > 64:
        wanted.append("--set model.base_channels=64")
    return ", or ".join(wanted) or "smaller latents (lgt preprocess --target_size)"


def available_memory() -> float | None:
    """Return the bytes that this machine can give without swapping; None where it does not say."""
    source = Path("/proc/meminfo")
    if not source.is_file():
        return None
    rows = dict(line.split(":", 1) for line in source.read_text().splitlines() if ":" in line)
    found = rows.get("MemAvailable")
    return None if found is None else int(found.split()[0]) * 1024.0


def _run_step(config: Config, objective: Objective, x_src: Tensor) -> tuple[int, int]:
    """Return the bytes that one step saves, and the most that is alive in it."""
    for parameter in objective.parameters():
        parameter.grad = torch.zeros_like(parameter)  # Counted apart.
    index = torch.zeros(len(x_src), dtype=torch.int64)
    batch = Batch(x_src, index, torch.ones_like(index), index)
    with LiveBytes() as live:
        is_reduced = config.training.mixed_precision == "bf16"
        with torch.autocast("cpu", torch.bfloat16, enabled=is_reduced):
            terms = objective(batch, Generator().manual_seed(0))
        saved = live.now
        terms.total.backward()
    return saved, live.peak


def _in_small(config: Config) -> Config:
    """Return the configuration with two styles and without `torch.compile`; the rest is kept.

    A distance of collections compares from the first step on, and looks at the given latents.
    """
    styles = {"style_subdirs": ["source", "target"], "source_subdirs": []}
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=styles),
            "loss": config.loss.model_copy(
                update={
                    "works_root": "",
                    "works_margin": 0.0,
                    "detail": 0.0,
                    "collection_memory": 1,
                }
            ),
            "model": config.model.model_copy(update={"num_styles": 2}),
            "training": config.training.model_copy(
                update={"compile": False, "label_drop_prob": 0.0}
            ),
        }
    )


def _bytes(module: nn.Module) -> int:
    own = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in own)
