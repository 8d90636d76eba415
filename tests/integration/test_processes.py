"""Two processes train one model: each draws its own batch, and both hold the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import sums
import torch
from limits import HANG
from toys import config, dataset, equal_states, trainer, values, write_config, write_latents

from lgt.data.dataset import Batch, sample_batch
from lgt.report.history import read_history
from lgt.train import Checkpoint
from lgt.train.schedule import step_generator

CHANGES = {
    "training.steps_per_epoch": 2,
    "training.num_epochs": 2,
    "training.lr_schedule": "constant",
    "training.grad_clip_norm": 0.0,
}
STEPS = 3
"""The step after which the second process asks for a stop."""
RECORDED = """
import os, signal
import torch
import lgt.train.loop as loop
from lgt.cli import run_command
from lgt.cli.train import train

drawn, draw, advance, run = [], loop.sample_batch, loop.Trainer._advance, loop.Trainer.run

def recording(*arguments, **named):
    batch = draw(*arguments, **named)
    drawn.append(batch.index.tolist())
    return batch

def stopping(self):
    values = advance(self)
    if self.step == 3 and self.accelerator.process_index == 1:
        os.kill(os.getpid(), signal.SIGINT)
    return values

def saving(self):
    path = run(self)
    rank = self.accelerator.process_index
    torch.save({"drawn": drawn, "network": self.network.state_dict()}, f"rank{rank}.pt")
    self.accelerator.wait_for_everyone()
    return path

loop.sample_batch, loop.Trainer._advance, loop.Trainer.run = recording, stopping, saving
run_command(train)
"""


@dataclass
class Run:
    """What two processes left behind."""

    folder: Path
    text: str
    drawn: list[list[list[int]]]
    networks: list[dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run two processes over gloo, in a folder that holds an old run, until one is interrupted."""
    folder = tmp_path_factory.mktemp("processes")
    write_latents(folder / "data" / "latents")
    write_config(folder / "config.json", CHANGES)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "epoch_0099.pt").touch()
    (folder / "recorded.py").write_text(RECORDED)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["--nproc_per_node", "2", "recorded.py", "--overwrite", "--device", "cpu"]
    done = subprocess.run(
        [*launcher, *script],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    text = done.stdout + done.stderr
    assert (folder / "rank0.pt").exists(), text
    assert (folder / "rank1.pt").exists(), text
    ranks = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    return Run(folder, text, [r["drawn"] for r in ranks], [r["network"] for r in ranks])


def test_weights_are_equal_in_both(run: Run) -> None:
    assert equal_states(*run.networks)


def test_each_draws_its_own_share(run: Run) -> None:
    latents = dataset()
    for rank, drawn in enumerate(run.drawn):
        expected = [
            sample_batch(latents, 4, [], step_generator(0, step, rank)).index.tolist()
            for step in range(STEPS)
        ]
        assert drawn == expected
    assert run.drawn[0] != run.drawn[1]


def test_gradients_of_both_are_averaged(run: Run) -> None:
    alone = trainer(config(CHANGES))
    for step in range(STEPS):
        for rank in range(2):
            generator = step_generator(0, step, rank)
            drawn = sample_batch(alone.dataset, 4, [], generator)
            batch = Batch(
                alone.latents[drawn.index],
                drawn.source_style_id,
                drawn.target_style_id,
                drawn.index,
            )
            (alone.objective(batch, generator).total / 2).backward()
        alone.optimizer.step()
        alone.optimizer.zero_grad()
    start = trainer(config(CHANGES)).network.state_dict()
    moved = 0
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(run.networks[0][name], value, atol=2e-4, rtol=1e-3)
        moved += int(((value - start[name]).abs() > 1e-3).sum())
    assert moved > 1000, "else the comparison says nothing"


def test_an_interruption_of_one_stops_both_and_saves(run: Run) -> None:
    folder = run.folder / "checkpoints"
    names = sorted(path.name for path in folder.glob("*.pt"))
    assert names == ["epoch_0001.pt", "interrupted.pt", "latest.pt"], "the old run is gone"
    saved = Checkpoint.load(folder / "latest.pt")
    assert saved.step == STEPS
    assert equal_states(saved.network, run.networks[0])
    assert saved.config.training.batch_size == values()["training"]["batch_size"]


def test_only_the_main_process_speaks(run: Run) -> None:
    assert run.text.count("12 latents of 4 x 8 x 8") == 1
    assert run.text.count("epoch 1: E ") == 1
    (log,) = (run.folder / "checkpoints" / "logs").glob("*.csv")
    rows = log.read_text().splitlines()
    assert len(rows) == 2
    assert rows[1].startswith("1,2,16,"), "one epoch, two steps, 2 x 2 x 4 images"


def test_one_report_tells_of_both(run: Run) -> None:
    history = read_history(run.folder / "checkpoints")
    assert len(history.sessions) == 1 and history.problems == []
    assert history.record.num_processes == 2
    assert history.record.ended == {"step": STEPS, "how": "interrupted", "text": ""}
    page = (run.folder / "checkpoints" / "report.html").read_text()
    assert "3 of 4 steps, 1 epoch, 16 images" in page
    assert "The run is interrupted." in page


def test_one_process_goes_on_alone(run: Run) -> None:
    saved = Checkpoint.load(run.folder / "checkpoints" / "latest.pt")
    settings = config(CHANGES, checkpoint__save_dir=str(run.folder / "alone"))
    assert trainer(settings, checkpoint=saved).run() is None
    assert Checkpoint.load(run.folder / "alone" / "latest.pt").step == 4


TOGETHER = """
import torch
import torch.distributed as dist
from sums import run

dist.init_process_group("gloo")
torch.save(run(dist.get_rank(), 2), f"rank{dist.get_rank()}.pt")
"""


def test_two_with_8_are_one_with_16(tmp_path: Path) -> None:
    """Moments, critics and gradients, also where one has nothing to judge in a step."""
    (tmp_path / "together.py").write_text(TOGETHER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc_per_node", "2", "together.py"]
    shared = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": shared}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in (0, 1))
    alone = sums.run(0, 1)
    for name in ("collection", "heads"):
        assert equal_states(first[name], second[name])
        assert len(alone[name]) > 10
        for key, value in alone[name].items():
            torch.testing.assert_close(first[name][key], value, rtol=1e-4, atol=1e-5)
    assert first["age"] == alone["age"] == sums.STEPS
    parts = zip(first["gradients"], second["gradients"], strict=True)
    for step, (pair, whole) in enumerate(zip(parts, alone["gradients"], strict=True)):
        assert step < 2 or whole.abs().max() > 1e-5
        # Processes average their gradients.
        torch.testing.assert_close(torch.cat(pair) / 2, whole, rtol=1e-3, atol=1e-6)
