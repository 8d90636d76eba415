"""Quantities that a configuration key is seen by, each a function of the configuration.

They work in the current folder, and repeat themselves to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from toys import Recorder, dataset, objective, trainer, write_latents, write_model

from lgt.build import (
    build_bank,
    build_collection,
    build_energy,
    build_network,
    build_perceptual_network,
    build_works,
)
from lgt.codec import DCTCodec
from lgt.codec.spec import CodecSpec
from lgt.config import Config
from lgt.data.dataset import LatentDataset
from lgt.energy.terms import PatchSWD
from lgt.errors import TrainingError
from lgt.image import to_image
from lgt.image.edges import edge_map, gradient_magnitude
from lgt.inference import LGTInference
from lgt.model.checkpoint import epoch_checkpoints
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.decoded import DecodedFeatures
from lgt.nn.perceptual import FeatureMaps
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


def edge_energy(settings: Config) -> float:
    """Evaluate the content energy of end states that a network sees as pictures."""
    latents = dataset(size=12)
    _, batch = objective(settings, latents)

    def look(x: torch.Tensor) -> FeatureMaps:
        strong = gradient_magnitude(x[:, :3])
        return FeatureMaps([x], [x], edge_map(x[:, :3]), edge_map(x[:, 1:]), strong)

    features = SimpleNamespace(features=look, content=look)
    bank = build_bank(settings, latents.latents, latents.style_ids)
    found = build_energy(settings, bank, features)  # type: ignore[arg-type]
    labels = batch.target_style_id, batch.source_style_id, batch.index
    terms = found(batch.x_src.flip(3), batch.x_src, *labels, generator=torch.Generator())
    return round(float(terms.content), 6)


def lookers(settings: Config) -> list[str]:
    """Return the variants of the image classifiers that look at decoded pictures."""
    decoded = settings.loss.model_copy(update={"perceptual_network": "decoded"})
    codec = CodecSpec(name="taesd", source="taesd", latent_channels=4)
    found = build_perceptual_network(settings.model_copy(update={"loss": decoded}), codec)
    assert isinstance(found, DecodedFeatures)
    return [str(backbone.name).removeprefix("efficientnet-") for backbone in found.backbones]


class Looker(DecodedFeatures):
    """Decoded features that say what they looked at first."""

    num_branches = 2

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.seen: list[str] = []
        self.sides: list[int] = []

    def _maps(self, x: torch.Tensor, kind: str) -> FeatureMaps:
        self.seen.append(kind)
        self.sides.append(x.shape[-1])
        small = F.adaptive_avg_pool2d(x[:, :3], 4)
        first = torch.cat([small, small[:, :1]], dim=1)
        return FeatureMaps([first, small] * 2, [small])

    def features(self, x: torch.Tensor) -> FeatureMaps:
        return self._maps(x, "latents")

    def content(self, x: torch.Tensor) -> FeatureMaps:
        return self._maps(x, "latents")

    def pictures(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x[:, :3], scale_factor=8.0)

    def features_of_pictures(self, images: torch.Tensor) -> FeatureMaps:
        return self._maps(images, "pictures")


def _write_works(settings: Config, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in settings.data.style_subdirs:
        for index in range(count):
            path = Path("works") / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_image(torch.rand(1, 3, 96, 96, generator=generator)).save(path)


def perceptual_with_photos(settings: Config) -> float:
    """Return the feature distance of the sources themselves to their photos."""
    latents, look = dataset(size=12), Looker()
    _write_works(settings, len(latents))
    names = settings.data.style_subdirs
    counts = [0] * len(names)
    paths = []
    for style_id in latents.style_ids.tolist():
        paths.append(Path("latents") / names[style_id] / f"{counts[style_id]}.pt")
        counts[style_id] += 1
    bank = build_bank(settings, latents.latents, latents.style_ids)
    found = build_energy(settings, bank, look, paths)
    _, batch = objective(settings, latents)
    labels = batch.target_style_id, batch.source_style_id, batch.index
    terms = found(batch.x_src, batch.x_src, *labels, generator=torch.Generator())
    return round(float(terms["perceptual"]), 6)


def _collection_look(settings: Config) -> Looker:
    """Build the distance of collections; return what looked for it."""
    latents, look, loss = dataset(size=12), Looker(), {"collection_gain": 1.0}
    _write_works(settings, 3)
    bank = build_bank(settings, latents.latents, latents.style_ids)
    settings = settings.model_copy(update={"loss": settings.loss.model_copy(update=loss)})
    assert build_collection(settings, bank, look, build_works(settings, bank, look))
    return look


def first_reference(settings: Config) -> str:
    """Tell what the distance of collections takes its references from."""
    return _collection_look(settings).seen[0]


def side_of_works(settings: Config) -> int:
    """Return the side of the works' pictures that the distance of collections looks at."""
    return _collection_look(settings).sides[0]


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
