"""On a GPU nothing meets what was left on the CPU: training, new styles and painting.

A pretended GPU stands for one, so that these run on every machine; see `pretended.py`.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from correctors import SIDE as SQUARE
from correctors import STYLE, photo_folder, small_model
from PIL import Image
from pretended import pretended_gpu
from recipes import SIDE, draw_pictures, latents_for, tiny
from toys import Recorder, config, write_model

from lgt.codec import load_codec
from lgt.config import Config
from lgt.config.load import config_to_dict, load_config
from lgt.inference import LGTInference
from lgt.paint import refine
from lgt.paint.controls import Controls
from lgt.paint.engine import Transport
from lgt.paint.torch_engine import TorchEngine
from lgt.train import Checkpoint, Trainer
from lgt.train.copying import Begun, find_pairs
from lgt.train.corrector import correct, give_corrector
from lgt.train.last_energies import Demands
from lgt.train.new_style import LearningPlan, StyleLearner
from lgt.train.polish import PolishedPictures
from lgt.train.squares import PhotoSquares
from lgt.train.teaching import Lessons, Standing
from lgt.video.paint import FramePainter, Layer
from lgt.video.smooth import TemporalFilter

ROOT = Path(__file__).resolve().parents[2]


def train(settings: Config, folder: Path) -> Trainer:
    """Train an epoch on the pretended GPU: its checks, sheet and checkpoint included."""
    dataset, recorder = latents_for(settings), Recorder.new()
    draw_pictures(folder / "raw", dataset.style_names)
    run = Trainer(settings, dataset, device="cuda", reporter=recorder)
    assert {p.device.type for p in run.network.parameters()} == {"cuda"}
    assert run.run() is None
    heard = [text for text in recorder.messages if not text.startswith(("measuring", "no perc"))]
    assert heard == [], "a sheet or a record that fails is told, not raised"
    assert len(recorder.totals) == settings.training.steps_per_epoch
    assert (folder / "run" / "samples" / "epoch_0001.png").is_file()
    return run


EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.json"))


@pytest.mark.parametrize("name", [*EXAMPLES, "defaults"])
def test_every_configuration_trains(name: str, tmp_path: Path) -> None:
    whole = Config() if name == "defaults" else load_config(ROOT / "examples" / name)
    with pretended_gpu():
        train(tiny(config_to_dict(whole), tmp_path), tmp_path)


FAMILIES: dict[str, dict[str, Any]] = {
    "the plain form": {
        "training.start": "noised_source",
        "training.mixed_precision": "no",
        "training.channels_last": False,
        "loss.style_bands": "raw",
        "loss.bank_works": 1,
        "loss.perceptual_network": "none",
        "loss.assigned_works": 0,
        "loss.w_identity": 0,
        "inference.cfg_decay": True,
    },
    "random works, samples of them": {
        "loss.assigned_works": 0,
        "loss.max_samples": 20,
        "loss.max_positions": 16,
        "loss.feature_crop": 6,
        "training.optimizer": "muon",
    },
    "every guard": {
        "loss.use_velocity_reg": True,
        "loss.content_centered": True,
        "loss.content_by_style": {"style1": 2.0},
        "training.target_shares": {"style1": 2.0},
        "training.solver": "heun",
        "model.use_gradient_checkpointing": True,
        "model.style_injection": "adagn",
        "training.ema_decay": 0.0,
    },
    "collections of latents": {
        "loss.collection_gain": 1.0,
        "loss.discriminant_gain": 1.0,
        "loss.recognition_gain": 1.0,
        "training.start": "noise",
        "inference.use_cfg": False,
    },
    "decoded pictures of parts, with their photos": {
        "loss.perceptual_network": "decoded",
        "loss.feature_crop": 6,
        "loss.detail": 0.5,
        "loss.edge_gain": 1.0,
        "loss.outline_gain": 1.0,
        "loss.clutter_gain": 1.0,
        "loss.works_root": "raw",
        "training.mixed_precision": "no",
    },
    "flow matching": {"training.objective": "ot_cfm"},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_options_trains(name: str, tmp_path: Path) -> None:
    values = config_to_dict(Config())
    for key, value in FAMILIES[name].items():
        section, option = key.split(".")
        values[section][option] = value
    with pretended_gpu():
        train(tiny(values, tmp_path), tmp_path)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_goes_on(optimizer: str, tmp_path: Path) -> None:
    """State that was read to the CPU goes to where it was; photos are looked at, too."""
    values = config_to_dict(Config())
    values["training"]["optimizer"] = optimizer
    values["loss"] |= {"collection_gain": 1.0}
    draw_pictures(tmp_path / "photos", ("some",))
    values["checkpoint"]["preview_dir"] = str(tmp_path / "photos" / "some")
    settings = tiny(values, tmp_path)
    with pretended_gpu():
        train(settings, tmp_path)
        saved = Checkpoint.load(tmp_path / "run" / "latest.pt")
        training = settings.training.model_copy(update={"num_epochs": 2})
        longer = settings.model_copy(update={"training": training})
        resumed = Trainer(longer, latents_for(settings), device="cuda", checkpoint=saved)
        assert resumed.run() is None
        assert Checkpoint.load(tmp_path / "run" / "latest.pt").step == 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model with guidance, noise and two steps."""
    settings = config(
        inference__temperature_lambda=0.2, inference__num_steps=3, inference__cfg_scale=2.0
    )
    return write_model(tmp_path / "model.pt", settings)


PAINTED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "a mask": {"mask": Image.linear_gradient("L")},
    "a blend": {"style": {"paint": 1.0, "photo": 2.0}},
    "half, with its detail in a part": {
        "strength": 0.5,
        "detail": 0.7,
        "detail_mask": Image.linear_gradient("L"),
    },
    "larger strokes and the own colours": {"style_scale": 2.0, "preserve_color": True},
    "away from the photos": {"repulsion": 0.5, "source_style": "photo"},
    "tiles": {"tile": 64, "detail": 0.5, "size": (530, 40)},
    "small": {"max_side": 32, "num_steps": 1},
    "transparent": {"mode": "RGBA"},
}


@pytest.mark.parametrize("name", PAINTED)
@pytest.mark.parametrize("codec", ["dct", "embedded"])
def test_every_way_of_painting(name: str, codec: str, model: Path) -> None:
    """Every control, with guidance and noise; both kinds of codec, once in bfloat16."""
    options = {"style": "paint", "size": (50, 37), "mode": "RGB"} | PAINTED[name]
    picture = Image.effect_noise(options.pop("size"), 50).convert(options.pop("mode"))
    if codec == "embedded":  # Of the latents that the model was trained on.
        made = Checkpoint.load(model)
        replace(made, codec=load_codec("embedded").spec).save(model)
    with pretended_gpu():
        lgt = LGTInference(model, "cuda", precision="bf16" if codec == "embedded" else "fp32")
        found = lgt.stylize(picture, codec=lgt.load_codec(codec), seed=1, **options)
    assert found.mode == picture.mode
    assert found.size == picture.size or "max_side" in options


def test_refining() -> None:
    """Features, moments and windows of the shipped model, in between two styles."""
    picture = Image.effect_noise((90, 70), 50).convert("RGB")
    with pretended_gpu():
        lgt = LGTInference("embedded", "cuda")
        blend = {"monet": 0.5, "vangogh": 0.5}
        found = lgt.stylize(picture, blend, codec=lgt.load_codec(), seed=1, refine=2)
    assert found.size == picture.size


def test_learned_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a picture that is large enough to be seen from afar, and what follows them."""
    picture, taken = Image.effect_noise((272, 264), 50).convert("RGB"), list[int]()
    stride = refine.stride

    def counted(*given: Any, **options: Any) -> Any:
        taken.append(given[4])
        return stride(*given, **options)

    monkeypatch.setattr(refine, "stride", counted)
    with pretended_gpu():
        model = LGTInference("embedded", "cuda")
        found = model.stylize(picture, "monet", codec=model.load_codec(), seed=1, refine=4)
    assert found.size == picture.size and taken == [3]


@pytest.mark.parametrize(
    "options",
    [
        {"training__solver": "heun", "training__start": "noised_source"},
        {"training__start": "noise", "inference__cfg_decay": True},
        {"training__objective": "ot_cfm"},
        {"model__condition_on_source": False, "model__style_head_channels": 4},
        {"model__style_injection": "adagn"},
    ],
)
def test_every_sampler(options: dict[str, Any], tmp_path: Path) -> None:
    settings = config(inference__temperature_lambda=0.2, **options)
    write_model(tmp_path / "model.pt", settings)
    with pretended_gpu():
        lgt = LGTInference(tmp_path / "model.pt", "cuda")
        x = torch.randn(2, 4, SIDE, SIDE)
        assert lgt.transfer_style(x, "photo", ["paint", {"photo": 1.0, "paint": 1.0}]).is_cuda


def test_a_video(model: Path) -> None:
    """Frames are painted in batches, with a shared noise and a mask, and steadied."""
    frames = [np.asarray(Image.effect_noise((32, 24), 9 + 9 * i).convert("RGB")) for i in range(3)]
    mask = Image.linear_gradient("L").resize((32, 24))
    with pretended_gpu():
        lgt = LGTInference(model, "cuda")
        given = {"sampler": lgt.sampler, "seed": 1, "is_noise_shared": True}
        painter = FramePainter(
            TorchEngine(lgt, lgt.load_codec("dct")),
            [
                Layer(Transport(style={1: 1.0}, **given)),
                Layer(Transport(style={0: 1.0}, **given), mask),
            ],
            Controls(strength=0.8, detail=0.5, preserve_color=True),
            size=(32, 24),
            smoother=TemporalFilter(0.5, 1),
            mask=mask,
            detail_mask=mask,
        )
        assert [frame.shape for frame in painter.paint(frames)] == [(24, 32, 3)] * 3


def test_a_style_is_learned(model: Path, tmp_path: Path) -> None:
    """The command's whole learning, saved and gone on with."""
    generator = torch.Generator().manual_seed(0)
    photos, works = torch.randn(2, 4, 4, SIDE, SIDE, generator=generator)
    plan = LearningPlan(steps=2, batch_size=2, precision="bf16")
    key = {"a": 1}
    with pretended_gpu():
        learner = StyleLearner(LGTInference(model, "cuda"), photos, works, plan)
        learner.run(tmp_path / "partial", key, lambda *_: None)
        learner.save(tmp_path / "partial", key)
        again = StyleLearner(LGTInference(model, "cuda"), photos, works, plan)
        assert again.load(tmp_path / "partial", key)
        again.advance()


def test_polishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new corrector: a descent, its energy near by and from afar, gone on with."""
    monkeypatch.setattr("lgt.train.copying.DESCENT", 1)
    photos = photo_folder(tmp_path / "photos")
    model = small_model(tmp_path / "model.pt", has_corrector=False)
    lessons = Lessons(out=tmp_path / "out.pt", steps=2, rate=1e-3, warmup=1, decay=0.9, settings={})

    def polished(until: int) -> bool:
        def stop(standing: Standing) -> None:
            if standing.step == until:
                signal.raise_signal(signal.SIGINT)

        with pretended_gpu():
            lgt = LGTInference(model, "cuda")
            give_corrector(lgt, 1)
            squares = PhotoSquares([photos / "a.png"], SQUARE, lambda _: None)
            polished = PolishedPictures(lgt, squares, [STYLE, "monet"], Demands())
            pairs = find_pairs(tmp_path, polished, [STYLE], 1, "here", lambda *_: None)
            teacher = Begun(polished, pairs, 1)
            begun = replace(Checkpoint.load(model), config=lgt.config)
            return correct(begun, teacher, lessons, 1, report=stop, say=lambda _: None)

    assert not polished(until=1) and polished(until=2)
    assert Checkpoint.load(lessons.out).config.model.num_corrector_blocks == 1
