"""The loop: what it saves, when it stops, and what it refuses."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from toys import Recorder, config, dataset, equal_states, trainer, write_model

from lgt.data.dataset import Batch
from lgt.energy import EnergyTerms
from lgt.errors import CheckpointError, InputError, TrainingError
from lgt.model.checkpoint import epoch_checkpoints
from lgt.train import Checkpoint
from lgt.train.objective import FreeEnergyObjective
from lgt.train.process import stop_requests


def epochs(folder: Path) -> list[int]:
    return [int(path.stem[6:]) for path in epoch_checkpoints(folder)]


def test_checkpoints_come_every_few_epochs_and_at_the_end(tmp_path: Path) -> None:
    run = trainer(
        config(
            checkpoint__save_dir=str(tmp_path),
            checkpoint__save_every=2,
            training__num_epochs=5,
            training__steps_per_epoch=2,
        )
    )
    assert run.run() is None
    assert epochs(tmp_path) == [2, 4, 5]
    assert (tmp_path / "latest.pt").resolve().name == "epoch_0005.pt"
    last = Checkpoint.load(tmp_path / "latest.pt")
    assert (last.step, last.latent_shape, last.is_collapsed) == (10, (4, 8, 8), False)
    assert equal_states(last.network, run.network.state_dict())
    assert not equal_states(last.network, last.ema)
    assert run.epoch == 5


def test_old_checkpoints_are_deleted_only_as_far_as_asked(tmp_path: Path) -> None:
    settings = config(
        checkpoint__save_dir=str(tmp_path), checkpoint__keep_last=2, training__num_epochs=4
    )
    trainer(settings).run()
    assert epochs(tmp_path) == [3, 4]
    assert Checkpoint.load(tmp_path / "latest.pt").step == 12


def test_a_branch_off_an_early_checkpoint_keeps_its_own(tmp_path: Path) -> None:
    changes = {"checkpoint.save_dir": str(tmp_path), "training.num_epochs": 3}
    trainer(config(changes)).run()
    settings = config(changes, checkpoint__keep_last=1, training__num_epochs=2)
    trainer(settings, checkpoint=Checkpoint.load(tmp_path / "epoch_0001.pt")).run()
    assert 2 in epochs(tmp_path), "the newest is the one just written, not the highest number"
    assert Checkpoint.load(tmp_path / "latest.pt").step == 6


def test_contact_sheet_beside_each_checkpoint(tmp_path: Path) -> None:
    settings = config(checkpoint__save_dir=str(tmp_path), checkpoint__num_samples=3)
    trainer(settings).run()
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["epoch_0001.png", "epoch_0002.png"]
    width, height = Image.open(tmp_path / "samples" / names[0]).size
    assert width > 3 * 64, "round trip and two styles"
    assert height > 3 * 64, "three sources"


@pytest.mark.parametrize("source", ["nowhere/missing", "dct:16"])
def test_a_codec_that_can_not_show_samples_does_not_end_the_run(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    latents, recorder = dataset(), Recorder.new()
    latents.codec = None
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        checkpoint__num_samples=1,
        data__codec=source,
        loss__perceptual_network="none",
    )
    trainer(settings, latents, reporter=recorder).run()
    assert epochs(tmp_path) == [1, 2]
    assert [text[:17] for text in recorder.messages] == ["no sample sheets:"], "said once"


def test_a_poisoned_latent_stops_the_run_and_is_named(tmp_path: Path) -> None:
    latents = dataset()
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        training__batch_size=12,
        loss__style_bands="raw",
        loss__assigned_works=0,
    )
    run = trainer(settings, latents)
    run.latents[3, 0, 0, 0] = float("nan")
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    with pytest.raises(TrainingError) as caught:
        run.run()
    text = str(caught.value)
    assert text.startswith("step 1 (epoch 1): total")
    assert "is not finite" in text
    assert "photo/3.pt" in text
    assert "start again with a lower training.learning_rate" in text
    assert list(tmp_path.glob("*.pt")) == []
    assert equal_states(run.network.state_dict(), before)


def test_an_energy_that_blows_up_later_points_to_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(config(checkpoint__save_dir=str(tmp_path)))
    forward = run.objective.forward

    def explode(*inputs: Any) -> Any:
        terms = forward(*inputs)
        return replace(terms, total=terms.total * float("inf")) if run.step == 4 else terms

    monkeypatch.setattr(run.objective, "forward", explode)
    with pytest.raises(TrainingError, match=r"step 5 \(epoch 2\): total(?s:.*)epoch_0001\.pt"):
        run.run()
    assert epochs(tmp_path) == [1]


def test_non_finite_gradients_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(config(checkpoint__save_dir=str(tmp_path)))
    run.network.conv_out.bias.register_hook(lambda gradient: gradient * float("nan"))
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    with pytest.raises(TrainingError, match="gradient norm is not finite"):
        run.run()
    assert equal_states(run.network.state_dict(), before)
    assert list(tmp_path.glob("*.pt")) == []


def test_collapse_stops_after_its_patience(tmp_path: Path) -> None:
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        checkpoint__save_every=10,
        training__num_epochs=9,
        training__collapse_threshold=1e6,
        training__collapse_patience=3,
    )
    run = trainer(settings)
    with pytest.raises(TrainingError, match=r"no longer depend on the style.*1e\+06, for 3 epochs"):
        run.run()
    assert run.epoch == 3
    assert epochs(tmp_path) == [3], "the state is kept for a look"
    saved = Checkpoint.load(tmp_path / "latest.pt")
    assert (saved.is_collapsed, saved.collapse_count) == (True, 3)
    go_on = config(checkpoint__save_dir=str(tmp_path), training__num_epochs=4)
    resumed = trainer(go_on, checkpoint=saved)
    assert resumed.guard.count == 3
    assert resumed.run() is None
    assert not Checkpoint.load(tmp_path / "latest.pt").is_collapsed


def test_collapse_warns_when_asked(tmp_path: Path) -> None:
    recorder = Recorder.new()
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        training__num_epochs=3,
        training__collapse_threshold=1e6,
        training__collapse_patience=2,
        training__on_collapse="warn",
    )
    assert trainer(settings, reporter=recorder).run() is None
    warnings = [text for text in recorder.messages if text.startswith("WARNING: outputs no longer")]
    assert len(warnings) == 2, "at epochs 2 and 3"
    assert epochs(tmp_path) == [1, 2, 3]


def test_a_dead_style_label_is_noticed(tmp_path: Path) -> None:
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        training__collapse_threshold=1e-3,
        training__collapse_patience=1,
        training__learning_rate=1e-9,
    )
    run = trainer(settings)
    with torch.no_grad():
        run.network.style_embedding.table.weight.fill_(1.0)
    with pytest.raises(TrainingError, match="no longer depend on the style"):
        run.run()


def test_an_untrained_label_is_no_label(tmp_path: Path) -> None:
    """Random kernels tell styles apart by more than the key's default, and by chance."""
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        training__collapse_threshold=1e-3,
        training__collapse_patience=2,
        training__learning_rate=1e-12,
    )
    run = trainer(settings)
    by_chance = run.guard.limit
    assert 2e-3 < by_chance < 1e-2
    with pytest.raises(TrainingError, match=r"not above 0\.0023, for 2 epochs"):
        run.run()
    assert run.watch.record.collapse_limit == by_chance


def test_a_style_that_nothing_asks_for_is_a_collapse(tmp_path: Path) -> None:
    """Without a style energy the label's effect shrinks below that of random kernels."""
    changes = {
        "checkpoint.save_dir": str(tmp_path),
        "training.collapse_threshold": 1e-3,
        "training.collapse_patience": 2,
        "training.num_epochs": 6,
        "training.steps_per_epoch": 20,
        "checkpoint.num_samples": 4,
        "checkpoint.save_every": 9,
    }
    live = trainer(config(changes, training__num_epochs=1))
    assert live.run() is None
    assert live.guard.count == 0
    dead = trainer(config(changes, loss__w_style=0.0, loss__w_identity=0.0))
    with pytest.raises(TrainingError, match="no longer depend on the style"):
        dead.run()


def test_epochs_of_the_warm_up_do_not_count(tmp_path: Path) -> None:
    settings = config(
        checkpoint__save_dir=str(tmp_path),
        training__collapse_threshold=1e6,
        training__collapse_patience=1,
        training__warmup_steps=3,
    )
    with pytest.raises(TrainingError, match="for 1 epochs"):
        (run := trainer(settings)).run()
    assert run.epoch == 2


def test_training_that_could_only_learn_the_identity_is_refused() -> None:
    one = config(training__target_shares={"paint": 0.0}, data__source_subdirs=["photo"])
    with pytest.raises(InputError, match="every source has the style 'photo', which is the only"):
        trainer(one)
    latents = dataset()
    latents.style_names = ("photo",)
    latents.style_ids = latents.style_ids * 0
    alone = {"model.num_styles": 1, "data.style_subdirs": ["photo"]}
    with pytest.raises(InputError, match=r"name a second folder in data\.style_subdirs"):
        trainer(config(alone), latents)
    trainer(config(training__target_shares={"paint": 0.0}))


def test_a_step_paints_windows_of_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    energy_of = FreeEnergyObjective.energy_of

    def noted(self: FreeEnergyObjective, x_1: Tensor, batch: Batch, *rest: Any) -> EnergyTerms:
        assert x_1.shape == batch.x_src.shape
        seen.append(tuple(x_1.shape[-2:]))
        return energy_of(self, x_1, batch, *rest)

    monkeypatch.setattr(FreeEnergyObjective, "energy_of", noted)
    for window in (0, 4):
        run = trainer(config(training__window=window))
        run._advance()
    assert seen == [(8, 8), (4, 4)]


def test_resume_refuses_another_model(tmp_path: Path) -> None:
    trainer(config(checkpoint__save_dir=str(tmp_path), training__num_epochs=1)).run()
    saved = Checkpoint.load(tmp_path / "latest.pt")
    with pytest.raises(InputError, match=r"`model` section differs(?s:.*)base_channels=16"):
        trainer(config(model__base_channels=16), checkpoint=saved)
    latents = dataset()
    latents.style_names = ("paint", "photo")
    with pytest.raises(InputError, match=r"knows the styles \['photo', 'paint'\], .* \['paint'"):
        trainer(config(), latents, checkpoint=saved)
    with pytest.raises(InputError, match="objective"):
        trainer(config(training__objective="ot_cfm"), checkpoint=saved)
    saved.optimizer = None
    with pytest.raises(InputError, match="holds no optimiser state"):
        trainer(config(), checkpoint=saved)


def test_averaging_switched_on_later_starts_from_the_trained_weights(tmp_path: Path) -> None:
    trainer(config(checkpoint__save_dir=str(tmp_path), training__ema_decay=0.0)).run()
    saved = Checkpoint.load(tmp_path / "latest.pt")
    assert saved.ema is None
    assert saved.inference_weights is saved.network
    resumed = trainer(config(training__ema_decay=0.999), checkpoint=saved)
    assert equal_states(resumed.average.state_dict(), saved.network)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_first_signal_asks_and_the_second_acts(name: str) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)
    caught: list[int] = []
    signal.signal(number, lambda which, _: caught.append(which))
    try:
        with stop_requests() as stop:
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
            assert caught == []
            signal.raise_signal(number)
            assert caught == [number]
    finally:
        signal.signal(number, before)


def test_a_stop_request_saves_between_steps(tmp_path: Path) -> None:
    settings = config(checkpoint__save_dir=str(tmp_path))
    recorder = Recorder.new()
    run = trainer(settings, reporter=recorder)
    advance = run._advance

    def interrupted() -> dict[str, float]:
        values = advance()
        if run.step == 4:
            signal.raise_signal(signal.SIGINT)
        return values

    run._advance = interrupted  # type: ignore[method-assign]
    path = run.run()
    assert path == tmp_path / "interrupted.pt"
    assert Checkpoint.load(tmp_path / "latest.pt").step == 4
    finished = trainer(settings, checkpoint=Checkpoint.load(tmp_path / "latest.pt"))
    assert finished.run() is None
    assert not path.exists()
    assert Checkpoint.load(tmp_path / "latest.pt").step == 6


def test_a_run_starts_with_the_weights_of_another_model(tmp_path: Path) -> None:
    """`init_from` gives the averaged weights; another `model` section is refused by name."""
    path = write_model(tmp_path / "first.pt")
    start = trainer(config(training__init_from=str(path)))
    for name, value in Checkpoint.load(path).inference_weights.items():
        assert torch.equal(start.network.state_dict()[name], value)
    with pytest.raises(CheckpointError, match=r"training\.init_from.*first\.pt.*model"):
        trainer(config(training__init_from=str(path), model__style_dim=12))


@pytest.mark.parametrize("key", ["style_head_channels", "num_corrector_blocks"])
def test_a_run_gives_the_model_that_it_starts_with_a_new_part(tmp_path: Path, key: str) -> None:
    """A head or a corrector begins as nothing; what was there keeps its weights."""
    path = write_model(tmp_path / "first.pt")
    given = Checkpoint.load(path)
    network = trainer(config(training__init_from=str(path), **{f"model__{key}": 2})).network
    for name, value in given.inference_weights.items():
        assert torch.equal(network.state_dict()[name], value)
    assert len(network.state_dict()) > len(given.inference_weights)


def test_a_run_without_corrector_leaves_that_of_its_model_out(tmp_path: Path) -> None:
    path = write_model(tmp_path / "first.pt", config(model__num_corrector_blocks=2))
    network = trainer(config(training__init_from=str(path))).network
    given = Checkpoint.load(path).inference_weights
    assert network.corrector is None
    for name, value in network.state_dict().items():
        assert torch.equal(value, given.pop(name))
    assert given and all(name.startswith("corrector.") for name in given)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_compiler_that_fails_is_named(
    is_compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(_field: Any) -> Any:
        def fail(*_: Any) -> None:
            name = "buf62"
            raise UnboundLocalError(name)

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    run = trainer(config(checkpoint__save_dir=str(tmp_path), training__compile=is_compiled))
    if not is_compiled:
        assert run.run() is None
        return
    with pytest.raises(TrainingError, match=r"UnboundLocalError: buf62.*training\.compile=false"):
        run.run()
    assert epochs(tmp_path) == []
