"""A resumed run equals an uninterrupted one to the last bit, however it was stopped."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from limits import HANG
from toys import config, equal_states, run_lgt, trainer, write_config, write_latents

from lgt.model.checkpoint import epoch_checkpoints
from lgt.train import Checkpoint

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the runs to be stopped are forked, which Windows can not"
)
LONG = {
    "training.steps_per_epoch": 4,
    "training.num_epochs": 3,
    "training.warmup_steps": 3,
    "inference.temperature_lambda": 0.3,
}
STOPPED = """
import json, os, signal, sys
import torch
import torch._dynamo  # Slow to import, and every run needs it.
from lgt.cli import main
from lgt.train import Trainer

def stop_in_step(step, number):
    advance = Trainer._advance
    def stopping(self):
        values = advance(self)
        if self.step == step:
            os.kill(os.getpid(), number)
        return values
    Trainer._advance = stopping

def kill_in_save(count):
    save, calls = torch.save, []
    def dying(content, path):
        calls.append(path)
        if len(calls) == count:
            path.write_bytes(b"half a file")
            os.kill(os.getpid(), signal.SIGKILL)
        save(content, path)
    torch.save = dying

ACTIONS = {
    "interrupted": lambda: stop_in_step(6, signal.SIGINT),
    "terminated": lambda: stop_in_step(3, signal.SIGTERM),
    "killed": lambda: stop_in_step(6, signal.SIGKILL),
    "killed while saving": lambda: kill_in_save(2),
}
results = {}
for name in ACTIONS:
    child = os.fork()
    if child == 0:
        output = os.open(name + ".txt", os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        ACTIONS[name]()
        sys.argv = ["lgt", "train", "--set", "checkpoint.save_dir=" + name, "--device", "cpu"]
        main()
    results[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(results))
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Add in one order everywhere, as the stopped processes do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same(a: Checkpoint, b: Checkpoint) -> bool:
    """Tell whether two checkpoints hold the same state of training."""
    names = ("step", "network", "ema", "optimizer", "collapse_count", "latent_shape", "codec")
    return all(equal_states(getattr(a, name), getattr(b, name)) for name in names)


def log_rows(folder: Path) -> list[dict[str, str]]:
    rows = []
    for path in sorted((folder / "logs").glob("*.csv")):
        with path.open(newline="") as file:
            rows += list(csv.DictReader(file))
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training.mixed_precision": "bf16", "training.solver": "heun"},
        {"training.start": "noised_source", "training.weight_decay": 0.1},
        {"training.objective": "ot_cfm", "training.ema_decay": 0.0},
    ],
    ids=["lgt", "bf16", "noised", "ot_cfm"],
)
def test_two_halves_are_the_whole(changes: dict[str, Any], tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    given = {**LONG, **changes, "training.num_epochs": 3}
    trainer(config(given, checkpoint__save_dir=str(whole))).run()
    middle = Checkpoint.load(whole / "epoch_0001.pt")
    assert middle.step == 4
    trainer(config(given, checkpoint__save_dir=str(halves)), checkpoint=middle).run()
    for name in ("epoch_0002.pt", "epoch_0003.pt"):
        assert same(Checkpoint.load(whole / name), Checkpoint.load(halves / name))
    assert not equal_states(middle.network, Checkpoint.load(halves / "latest.pt").network)
    assert log_rows(halves) == log_rows(whole)[1:]
    assert len(log_rows(halves)) == 2


def test_a_finished_run_can_be_prolonged(tmp_path: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    constant = {**LONG, "training.lr_schedule": "constant"}
    trainer(config(constant, training__num_epochs=2, checkpoint__save_dir=str(long))).run()
    settings = config(constant, training__num_epochs=1, checkpoint__save_dir=str(short))
    trainer(settings).run()
    prolonged = config(constant, training__num_epochs=2, checkpoint__save_dir=str(short))
    trainer(prolonged, checkpoint=Checkpoint.load(short / "latest.pt")).run()
    assert same(Checkpoint.load(long / "latest.pt"), Checkpoint.load(short / "latest.pt"))


def test_prolonging_follows_the_new_plan_of_the_learning_rate(tmp_path: Path) -> None:
    folder = str(tmp_path)
    trainer(config(LONG, training__num_epochs=1, checkpoint__save_dir=folder)).run()
    prolonged = config(LONG, training__num_epochs=2, checkpoint__save_dir=folder)
    run = trainer(prolonged, checkpoint=Checkpoint.load(tmp_path / "latest.pt"))
    before, after = (run._advance()["learning_rate"] for _ in range(2))
    assert 0.05 * 2e-3 < after < before < 2e-3


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """Stop four runs in as many ways; return their folder and the exit codes."""
    folder = tmp_path_factory.mktemp("stopped")
    write_latents(folder / "data" / "latents")
    write_config(folder / "config.json", LONG)
    done = subprocess.run(
        [sys.executable, "-c", STOPPED],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture(scope="module")
def uninterrupted(stopped: tuple[Path, dict[str, int]]) -> Checkpoint:
    """Return the end of a run that nothing stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stopped[0])
        assert run_lgt("train", "--device", "cpu").exit_code == 0
        return Checkpoint.load(Path("checkpoints/latest.pt"))


def test_exit_codes(stopped: tuple[Path, dict[str, int]]) -> None:
    assert stopped[1] == {
        "interrupted": 130,
        "terminated": 130,
        "killed": -9,
        "killed while saving": -9,
    }


@pytest.mark.parametrize(
    ("name", "step"), [("interrupted", 6), ("terminated", 3)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_saves_and_says_how_to_go_on(
    name: str, step: int, stopped: tuple[Path, dict[str, int]]
) -> None:
    text = (stopped[0] / f"{name}.txt").read_text()
    assert f"stopped at step {step}; saved {name}/interrupted.pt" in text
    assert f"go on with: lgt train --resume --set checkpoint.save_dir={name} --device cpu" in text
    assert "Traceback" not in text
    assert Checkpoint.load(stopped[0] / name / "latest.pt").step == step


def test_a_kill_leaves_the_last_whole_checkpoint(stopped: tuple[Path, dict[str, int]]) -> None:
    folder, _ = stopped
    for name in ("killed", "killed while saving"):
        assert [path.name for path in epoch_checkpoints(folder / name)] == ["epoch_0001.pt"]
        assert Checkpoint.load(folder / name / "latest.pt").step == 4
    assert len(list((folder / "killed while saving").glob(".lgt-*.tmp"))) == 1


@pytest.mark.parametrize("name", ["interrupted", "terminated", "killed", "killed while saving"])
def test_a_stopped_run_ends_as_if_nothing_had_happened(
    name: str,
    stopped: tuple[Path, dict[str, int]],
    uninterrupted: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(stopped[0])
    for path in Path(name).glob(".lgt-*.tmp"):
        os.utime(path, (0, 0))  # Long ago: a file that is being written is left alone.
    result = run_lgt("train", "--resume", "--set", f"checkpoint.save_dir={name}")
    assert result.exit_code == 0, result.stderr
    resumed = Checkpoint.load(Path(name) / "latest.pt")
    assert resumed.step == 12
    assert same(resumed, uninterrupted)
    assert not (Path(name) / "interrupted.pt").exists()
    assert list(Path(name).glob(".lgt-*.tmp")) == []
