"""Going on with other settings: epochs, checkpoints and rows of the log stay whole."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from toys import Recorder, config, equal_states, stopped_after, trainer

from lgt.model.checkpoint import epoch_checkpoints, set_aside
from lgt.model.progress import Progress
from lgt.train import Checkpoint
from lgt.train.epochs import EpochCounter


def saved(folder: Path) -> list[str]:
    return [path.name for path in epoch_checkpoints(folder)]


def rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted((folder / "logs").glob("*.csv")):
        with path.open(newline="") as file:
            found += list(csv.DictReader(file))
    return found


@pytest.mark.parametrize("is_old", [False, True])
def test_epochs_go_on_with_another_length(is_old: bool, tmp_path: Path) -> None:
    """Half the batch: 3 steps an epoch become 2; epoch 3 does not become epoch 4 or 2."""
    changes = {"checkpoint.save_dir": str(tmp_path)}
    trainer(config(changes)).run()
    before = {path.name: path.read_bytes() for path in epoch_checkpoints(tmp_path)}
    assert list(before) == ["epoch_0001.pt", "epoch_0002.pt"]
    start = Checkpoint.load(tmp_path / "latest.pt")
    if is_old:
        start.progress = None
    recorder = Recorder.new()
    changes |= {"training.num_epochs": 4, "training.batch_size": 2, "training.steps_per_epoch": 2}
    run = trainer(config(changes), checkpoint=start, reporter=recorder)
    assert (run.epoch, run.step, run.total_steps) == (2, 6, 10)
    assert recorder.messages[-1] == (
        "epochs have 2 steps now, they had 3: epoch 3 begins at step 6, and epoch 4 ends at step 10"
    )
    assert run.run() is None
    assert saved(tmp_path) == [*before, "epoch_0003.pt", "epoch_0004.pt"]
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    seen = [(row["epoch"], row["step"], row["images"]) for row in recorder.rows]
    assert seen == [(3, 8, 6 * 4 + 2 * 2), (4, 10, 6 * 4 + 4 * 2)]


def test_an_epoch_under_way_begins_anew_with_another_length(tmp_path: Path) -> None:
    changes = {"checkpoint.save_dir": str(tmp_path)}
    stopped_after(4, config(changes))
    start = Checkpoint.load(tmp_path / "interrupted.pt")
    longer = config(changes, training__steps_per_epoch=5, training__num_epochs=3)
    run = trainer(longer, checkpoint=start)
    assert (run.epoch, run.total_steps) == (1, 4 + 2 * 5)
    same = trainer(config(changes), checkpoint=start)
    assert (same.epoch, same.total_steps) == (1, 6)


def test_the_row_of_an_interrupted_epoch_is_whole(tmp_path: Path) -> None:
    """It was the mean of the steps after the interruption alone."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer(config(checkpoint__save_dir=str(whole))).run()
    settings = config(checkpoint__save_dir=str(parts))
    stopped_after(5, settings)
    trainer(settings, checkpoint=Checkpoint.load(parts / "interrupted.pt")).run()
    expected, seen = rows(whole), rows(parts)
    assert len(expected) == len(seen) == 2
    for a, b in zip(expected, seen, strict=True):
        assert {**a, "seconds": ""} == {**b, "seconds": ""}


def test_a_checkpoint_of_the_same_name_is_kept(tmp_path: Path) -> None:
    """A branch off an early checkpoint, with other settings, replaced the later ones."""
    changes = {"checkpoint.save_dir": str(tmp_path)}
    trainer(config(changes)).run()
    before = (tmp_path / "epoch_0002.pt").read_bytes()
    recorder = Recorder.new()
    settings = config(changes, training__learning_rate=1e-4)
    start = Checkpoint.load(tmp_path / "epoch_0001.pt")
    trainer(settings, checkpoint=start, reporter=recorder).run()
    assert saved(tmp_path) == ["epoch_0001.pt", "epoch_0002.pt"]
    assert (tmp_path / "epoch_0002_old1.pt").read_bytes() == before
    assert recorder.messages[-1].startswith("epoch_0002.pt was there already; it is kept as epoch_")
    assert (tmp_path / "latest.pt").resolve().name == "epoch_0002.pt"
    assert set_aside(tmp_path / "epoch_0002.pt").name == "epoch_0002_old2.pt"


def test_counts_of_a_run_that_never_changed() -> None:
    assert Progress.of_step(7, steps_per_epoch=3, batch_size=4) == Progress(2, 1, 3, 28)
    counter = EpochCounter(3, 4, Progress(2, 1, 3, 28, {"total": 5.0}), step=7)
    assert counter.total(4) == 12
    counter.take({"total": 7.0})
    assert counter.progress(8) == Progress(2, 2, 3, 32, {"total": 12.0})
    assert not counter.is_over(8)
    counter.take({"total": 3.0})
    assert counter.is_over(9)
    assert counter.finish(9) == {"total": 5.0}
    assert counter.progress(9) == Progress(3, 0, 3, 36)


def test_a_row_that_can_not_be_whole_is_not_made_up() -> None:
    """Of a checkpoint of earlier versions, which kept no sums, none are handed on either."""
    counter = EpochCounter(3, 4, Progress(2, 1, 3, 28), step=7)
    counter.take({"total": 7.0})
    assert counter.progress(8).sums == {}


def test_two_trainings_in_one_process(has_bf16: bool, tmp_path: Path) -> None:
    """Accelerate keeps one state a process; the second trainer was refused for its precision."""
    from toys import dataset

    from lgt.train import Trainer

    def make(name: str, precision: str) -> Trainer:
        settings = config(checkpoint__save_dir=str(tmp_path / name), training__num_epochs=1)
        training = settings.training.model_copy(update={"mixed_precision": precision})
        return Trainer(settings.model_copy(update={"training": training}), dataset(), device="cpu")

    first = make("first", "bf16")
    second = make("second", "no")
    first.run()
    second.run()
    alone = trainer(second.config)
    alone.save_dir = tmp_path / "alone"
    alone.run()
    assert equal_states(second.network.state_dict(), alone.network.state_dict())
    assert equal_states(first.network.state_dict(), second.network.state_dict()) != has_bf16
