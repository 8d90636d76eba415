"""The CSV log and the running means."""

from __future__ import annotations

import csv
import math
import re
from datetime import datetime
from pathlib import Path

import pytest
from toys import WITH_FEATURES, Recorder, config, dataset, equal_states, trainer

from lgt.energy import CollectionDistance
from lgt.model.checkpoint import LATEST, Checkpoint
from lgt.report.log import FIRST, LAST, Means, TrainingLog, columns_of, distances_in

NAMES = (*FIRST, "total", "style", *LAST)
DOCUMENTED = {"total", "style", "content", "learning_rate", "gradient_norm", "seconds"}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_name_holds_the_time(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "logs", now=datetime(2031, 2, 3, 4, 5, 6))
    log.close()
    assert log.path == tmp_path / "logs" / "training_20310203_040506.csv"


def test_rows_are_on_disk_at_once_and_numbers_stay_exact(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    row = dict.fromkeys(NAMES, 0.125) | {"epoch": 3.0, "step": 1234567.0, "images": 98765432.0}
    log.write(row)
    seen = read(log.path)
    assert [{name: float(text) for name, text in line.items()} for line in seen] == [row]
    assert seen[0]["images"] == "98765432"
    log.close()


def test_a_second_log_of_the_same_second_goes_on(tmp_path: Path) -> None:
    for epoch in (1.0, 2.0):
        log = TrainingLog(tmp_path, now=datetime(2031, 2, 3))
        log.write(dict.fromkeys(NAMES, epoch))
        log.close()
    assert [float(row["epoch"]) for row in read(log.path)] == [1.0, 2.0]


def test_a_run_writes_one_row_an_epoch(tmp_path: Path) -> None:
    recorder = Recorder.new()
    settings = config(
        checkpoint__save_dir=str(tmp_path), training__num_epochs=4, loss__use_velocity_reg=True
    )
    trainer(settings, reporter=recorder).run()
    (path,) = (tmp_path / "logs").glob("*.csv")
    assert re.fullmatch(r"training_\d{8}_\d{6}\.csv", path.name)
    rows = [{name: float(text) for name, text in row.items()} for row in read(path)]
    assert tuple(rows[0]) == columns_of(recorder.rows[0])
    assert (*rows[0],)[:4] == (*FIRST, "total") and (*rows[0],)[-4:] == LAST
    assert set(rows[0]) >= DOCUMENTED
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    assert [row["images"] for row in rows] == [12, 24, 36, 48]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    for row, told in zip(rows, recorder.rows, strict=True):
        assert row == pytest.approx(told, rel=1e-4)
        assert row["velocity"] > 0
        assert row["style"] > 0
        assert row["gradient_norm"] > 0
        assert row["seconds"] > 0
        assert row["id_swap_distance"] > 0
    means = [sum(recorder.totals[i : i + 3]) / 3 for i in range(0, 12, 3)]
    assert [row["total"] for row in rows] == pytest.approx(means, rel=1e-4)


def test_means_start_anew() -> None:
    means = Means()
    means.add({"a": 1.0, "b": 2.0})
    means.add({"a": 3.0, "b": 2.0})
    assert means.result() == {"a": 2.0, "b": 2.0}
    assert means.result() == {}
    means.add({"a": 5.0})
    assert means.result() == {"a": 5.0}


def test_a_row_tells_the_farthest_first() -> None:
    row = {"total": 9.0, "distance_a": 0.2, "distance_b": float("nan"), "distance_c_d": 0.7}
    assert list(distances_in(row).items()) == [("c_d", 0.7), ("a", 0.2)]


def test_every_epoch_of_a_training_has_them(tmp_path: Path) -> None:
    """And each checkpoint what was seen of the works."""
    given = {"loss__collection_gain": 1.0, "loss__collection_memory": 2}
    recorder = Recorder.new()
    settings = config(WITH_FEATURES, **given, checkpoint__save_dir=str(tmp_path))
    run = trainer(settings, dataset(), reporter=recorder)
    run.run()
    collection, checkpoint = run._memory("collection"), Checkpoint.load(tmp_path / LATEST)
    assert isinstance(collection, CollectionDistance) and checkpoint.works is not None
    packed = collection.works.packed()
    assert equal_states(checkpoint.works.packed(), packed) and len(packed["means.0"]) == 2
    names = [f"distance_{name}" for name in run.dataset.style_names[1:]]
    for row in recorder.rows:
        assert [name for name in row if name.startswith("distance_")] == names
    assert all(0 <= recorder.rows[-1][name] < 100 for name in names)
