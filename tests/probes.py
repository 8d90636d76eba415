"""Quantities that a configuration key is seen by, each a function of the configuration.

They work in the current folder, and repeat themselves to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from toys import Recorder, dataset, objective, trainer, write_latents, write_model

from lgt.build import (
    build_network,
)
from lgt.codec import DCTCodec
from lgt.config import Config
from lgt.data.dataset import LatentDataset
from lgt.energy.terms import PatchSWD
from lgt.errors import TrainingError
from lgt.image import to_image
from lgt.inference import LGTInference
from lgt.model.checkpoint import epoch_checkpoints
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.train import Checkpoint

Probe = Callable[[Config], Any]


def of_network(measure: Callable[[LGTUNet], Any]) -> Probe:
    return lambda settings: measure(build_network(settings))


def energies(settings: Config) -> dict[str, float]:
    """Evaluate the energy of fixed end states, from the same random state."""
    latents = dataset(size=12)
    part, batch = objective(settings, latents)
    noise = torch.randn(batch.x_src.shape, generator=torch.Generator().manual_seed(1))
    x_1 = batch.x_src + 0.3 * noise
    terms = part.energy_of(x_1, batch, torch.tensor(2.0), torch.Generator().manual_seed(2))  # type: ignore[operator]
    return {name: round(value, 7) for name, value in terms.as_floats().items()}


def energy(settings: Config) -> tuple[float, ...]:
    """Return the numbers of :func:`energies`."""
    return tuple(energies(settings).values())


def velocity_term(settings: Config) -> float:
    part, batch = objective(settings)
    return round(part(batch, torch.Generator().manual_seed(0)).as_floats().get("velocity", 0.0), 7)


def directions_drawn(settings: Config) -> int:
    drawn: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        original = PatchSWD.directions

        def spy(self: PatchSWD, *arguments: Any) -> torch.Tensor:
            theta = original(self, *arguments)
            drawn.append(theta.shape[1])
            return theta

        patch.setattr(PatchSWD, "directions", spy)
        energy(settings)
    return max(drawn)


def evaluations(settings: Config) -> int:
    """Count the network's evaluations in one training step."""
    part, batch = objective(settings)
    calls = 0
    original = part._field

    def counted(*inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(*inputs)

    part._field = counted
    part(batch, torch.Generator().manual_seed(0))
    return calls


def training_state(settings: Config) -> tuple[float, ...]:
    """Return the end states of one training step, from the same random state."""
    part, batch = objective(settings)
    x_1, _ = part.end_state(batch, torch.Generator().manual_seed(0))  # type: ignore[operator]
    return rounded(x_1)


def null_labels(settings: Config) -> float:
    part, batch = objective(settings)
    seen: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        original = LGTUNet.condition

        def spy(self: LGTUNet, target: torch.Tensor, *rest: Any) -> Any:
            seen.append(float((target == NULL_STYLE).float().mean()))
            return original(self, target, *rest)

        patch.setattr(LGTUNet, "condition", spy)
        part(batch, torch.Generator().manual_seed(0))
    return seen[0]


def first_weights(settings: Config) -> tuple[float, ...]:
    return rounded(build_network(settings).conv_in.weight)


def targets_of_a_batch(settings: Config) -> int:
    """Count the target styles that the first step's batch asks for."""
    run = trainer(settings)
    batches: list[Any] = []
    run.objective.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0]))
    run._advance()
    return len(set(batches[0].target_style_id.tolist()))


def weights_before_training(settings: Config) -> tuple[float, ...]:
    """Return the run's weights before its first step; there is a `model.pt` to start with."""
    write_model(Path("model.pt"))
    return rounded(trainer(settings).network.conv_out.weight)


def after_steps(settings: Config) -> tuple[float, ...]:
    """Return weights after two steps."""
    run = trainer(settings)
    run._advance()
    run._advance()
    return rounded(run.network.conv_in.weight)


def rates(settings: Config) -> list[float]:
    run = trainer(settings)
    return [round(run._advance()["learning_rate"], 9) for _ in range(run.total_steps)]


def rows(settings: Config) -> int:
    recorder = Recorder.new()
    trainer(settings, reporter=recorder).run()
    return len(recorder.rows)


def working_dtype(settings: Config) -> torch.dtype:
    """Return the number format of the network's convolutions during a training step."""
    run, seen = trainer(settings), []
    run.network.conv_in.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    run._advance()
    return seen[0]


def is_channels_last(settings: Config) -> tuple[bool, bool]:
    run = trainer(settings)
    layout = torch.channels_last
    return (
        run.network.conv_in.weight.is_contiguous(memory_format=layout),
        run.latents.is_contiguous(memory_format=layout),
    )


def compiled(settings: Config) -> list[str]:
    names: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda part: names.append(part.__name__) or part)
        objective(settings)
    return names


def passes_of_a_block(settings: Config) -> int:
    """Count forward passes of one block in a step: twice as many where they are recomputed."""
    part, batch = objective(settings)
    calls: list[int] = []
    part.network.bottleneck.register_forward_pre_hook(lambda *_: calls.append(1))
    part(batch, torch.Generator().manual_seed(0)).total.backward()
    return len(calls)


def collapse(settings: Config) -> str:
    recorder = Recorder.new()
    run = trainer(settings, reporter=recorder)
    try:
        run.run()
    except TrainingError:
        return f"stopped at {run.epoch}"
    warnings = [text for text in recorder.messages if text.startswith("WARNING")]
    return f"warned {len(warnings)} times"


def averaged(settings: Config) -> tuple[float, ...] | None:
    trainer(settings).run()
    saved = Checkpoint.load(Path(settings.checkpoint.save_dir) / "latest.pt")
    return None if saved.ema is None else rounded(saved.ema["conv_in.weight"])


def saved_epochs(settings: Config) -> list[int]:
    trainer(settings).run()
    return [int(p.stem[6:]) for p in epoch_checkpoints(Path(settings.checkpoint.save_dir))]


def files_written(settings: Config) -> list[str]:
    trainer(settings).run()
    return [path.name for path in Path().iterdir()]


def sheet_height(settings: Config) -> int:
    trainer(settings).run()
    sheets = list((Path(settings.checkpoint.save_dir) / "samples").glob("*.png"))
    return Image.open(sheets[-1]).height // 64 if sheets else 0


def sheet_columns(settings: Config) -> int:
    """Count the columns of a sheet of two photos; every picture has 64 pixels."""
    Path("photos").mkdir(exist_ok=True)
    for name in ("a", "b"):
        Image.new("RGB", (80, 70), "teal").save(Path("photos") / f"{name}.png")
    trainer(settings).run()
    return Image.open(sorted(Path("checkpoints/samples").glob("*.png"))[-1]).width // 68


def event_files(settings: Config) -> int:
    trainer(settings).run()
    return len(list(Path("checkpoints/tensorboard").glob("events.*")))


def sheet_codec(settings: Config) -> str:
    latents = dataset()
    latents.codec = None
    return trainer(settings, latents).samples._load_codec().spec.name


def loaded(settings: Config) -> tuple[tuple[str, ...], int]:
    write_latents(Path("latents"), num_per_style=2)
    write_latents(Path("more"), num_per_style=3)
    keys = settings.data
    found = LatentDataset.from_config(keys.data_root, keys.style_subdirs, 4, keys.num_workers)
    return found.style_names, len(found)


def reading_threads(settings: Config) -> int:
    threads: list[int] = []
    with pytest.MonkeyPatch.context() as patch:

        def spy(count: int) -> ThreadPoolExecutor:
            threads.append(count)
            return ThreadPoolExecutor(count)

        patch.setattr("lgt.data.dataset.ThreadPoolExecutor", spy)
        loaded(settings)
    return threads[0]


def source_styles(settings: Config) -> list[int]:
    return trainer(settings).source_styles


def inferred(settings: Config) -> tuple[float, ...]:
    """Transfer fixed latents with a fixed seed."""
    lgt = LGTInference(write_model(Path("model.pt"), settings), "cpu")
    x_src = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return rounded(lgt.transfer_style(x_src, 0, 1, seed=0))


def painted(settings: Config) -> bytes:
    """Paint a fixed picture."""
    lgt = LGTInference(write_model(Path("model.pt"), settings), "cpu")
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return lgt.stylize(to_image(noise), 1, codec=DCTCodec(4), seed=0).tobytes()


def inference_calls(settings: Config) -> tuple[int, int]:
    """Count the network's evaluations, and the samples in each."""
    lgt = LGTInference(write_model(Path("model.pt"), settings), "cpu")
    batches: list[int] = []
    lgt.network.conv_in.register_forward_hook(lambda *args: batches.append(len(args[-1])))
    lgt.transfer_style(torch.zeros(1, 4, 8, 8), 0, 1, seed=0)
    return len(batches), batches[0]


def rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values.detach().flatten()[:256].tolist())
