"""The command `lgt train`: what it writes and prints, what it refuses, how it goes on."""

from __future__ import annotations

import errno
import shlex
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toys import config, run_lgt, write_config, write_latents, write_model

from lgt.data.store import load_latent, save_latent
from lgt.model.checkpoint import epoch_checkpoints
from lgt.train import Checkpoint, Trainer


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with toy latents and a toy `config.json`."""
    monkeypatch.chdir(tmp_path)
    # Nothing is free to compare with: measuring a step takes a third of these runs.
    monkeypatch.setattr("lgt.train.memory.available_memory", lambda: None)
    write_latents(Path("data/latents"))
    write_config(Path("config.json"), training__steps_per_epoch=2)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once for all; return the folder that holds `checkpoints`."""
    folder = tmp_path_factory.mktemp("finished")
    write_latents(folder / "data/latents")
    write_config(folder / "config.json", training__steps_per_epoch=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_lgt("train").exit_code == 0
        one = ("--set", "training.num_epochs=1", "--set", "checkpoint.save_dir=one/checkpoints")
        assert run_lgt("train", *one).exit_code == 0
    return folder


@pytest.fixture
def ran(finished: Path) -> None:
    """Let the folder hold what `lgt train` leaves."""
    shutil.copytree(finished / "checkpoints", "checkpoints", symlinks=True)


@pytest.fixture
def ran_an_epoch(finished: Path) -> None:
    """Let the folder hold what `lgt train --set training.num_epochs=1` leaves."""
    shutil.copytree(finished / "one/checkpoints", "checkpoints", symlinks=True)


def saved(folder: str = "checkpoints") -> list[str]:
    return [path.name for path in epoch_checkpoints(Path(folder))]


def test_a_run_says_what_it_does_and_where_the_result_is() -> None:
    result = run_lgt("train", "--set", "checkpoint.num_samples=1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        "done: checkpoints/latest.pt, sample pictures in checkpoints/samples\n"
    )
    assert "12 latents of 4 x 8 x 8 (photo 6, paint 6); 4 steps to checkpoints" in result.stderr
    assert result.stderr.count("id swap") == 2, "one line an epoch"
    assert saved() == ["epoch_0001.pt", "epoch_0002.pt"]
    assert len(list(Path("checkpoints/logs").glob("training_*.csv"))) == 1
    assert len(list(Path("checkpoints/samples").glob("*.png"))) == 2
    model = Checkpoint.load(Path("checkpoints/latest.pt"))
    assert model.style_names == ("photo", "paint")
    assert model.codec is not None
    assert model.codec.name == "dct:4"


def test_too_little_memory_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the run goes on; on a GPU nothing is written."""
    monkeypatch.setattr("lgt.train.memory.available_memory", lambda: 1e3)
    result = run_lgt("train", "--set", "checkpoint.num_samples=0")
    assert result.exit_code == 0
    assert "WARNING: training with batch size" in result.stderr
    monkeypatch.setattr("lgt.device.resolve_device", lambda _: "cuda:0")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (1, 1))
    refused = run_lgt("train", "--set", "checkpoint.save_dir=other")
    assert refused.exit_code == 2
    assert "cuda:0 has 0.0 GiB free" in refused.stderr
    assert not Path("other").exists()


def test_objective_is_a_shorthand() -> None:
    assert run_lgt("train", "--objective", "ot_cfm").exit_code == 0
    assert Checkpoint.load(Path("checkpoints/latest.pt")).config.training.objective == "ot_cfm"
    wrong = run_lgt("train", "--objective", "ot_cmf", "--overwrite")
    assert wrong.exit_code == 2
    assert "training.objective" in wrong.stderr


@pytest.mark.parametrize("name", ["epoch_0003.pt", "interrupted.pt"])
def test_a_run_that_is_there_is_not_overwritten(name: str) -> None:
    path = write_model(Path("checkpoints") / name)
    before = path.read_bytes()
    result = run_lgt("train")
    assert result.exit_code == 2
    assert f"error: checkpoints already holds a run (up to {name})" in result.stderr
    for way in ("--resume", "--overwrite", "--set checkpoint.save_dir=FOLDER"):
        assert way in result.stderr
    assert path.read_bytes() == before
    assert [p.name for p in Path("checkpoints").iterdir()] == [name]


def test_overwrite_starts_over_and_clears_the_old_run() -> None:
    for name in ("epoch_0003.pt", "epoch_0099.pt", "interrupted.pt"):
        write_model(Path("checkpoints") / name, step=999)
    Path("checkpoints/latest.pt").symlink_to("interrupted.pt")
    result = run_lgt("train", "--overwrite", "--set", "checkpoint.save_every=2")
    assert result.exit_code == 0, result.stderr
    assert sorted(p.name for p in Path("checkpoints").glob("*.pt")) == [
        "epoch_0002.pt",
        "latest.pt",
    ]
    assert Checkpoint.load(Path("checkpoints/latest.pt")).step == 4


def test_an_unusable_dataset_leaves_the_old_run_alone() -> None:
    write_model(Path("checkpoints/epoch_0003.pt"))
    result = run_lgt("train", "--overwrite", "--set", "data.data_root=nowhere")
    assert result.exit_code == 2
    assert "no such folder: nowhere" in result.stderr
    assert saved() == ["epoch_0003.pt"]


def test_resume_goes_on_from_the_newest(ran: None) -> None:
    result = run_lgt("train", "--resume", "--set", "training.num_epochs=3")
    assert result.exit_code == 0, result.stderr
    assert "2 steps to checkpoints" in result.stderr
    assert saved() == ["epoch_0001.pt", "epoch_0002.pt", "epoch_0003.pt"]
    again = run_lgt("train", "--resume", "--set", "training.num_epochs=3")
    assert again.exit_code == 0
    assert "0 steps to checkpoints" in again.stderr, "it was complete"
    early = run_lgt("train", "--resume_from", "checkpoints/epoch_0001.pt")
    assert early.exit_code == 0
    assert Checkpoint.load(Path("checkpoints/latest.pt")).step == 4


def test_resume_beyond_the_end_leaves_the_run_alone(ran: None) -> None:
    """An interrupted run that was shortened below its step lost its newest checkpoint."""
    Path("checkpoints/epoch_0002.pt").rename("checkpoints/interrupted.pt")
    latest = Path("checkpoints/latest.pt")
    latest.unlink()
    latest.symlink_to("interrupted.pt")
    result = run_lgt("train", "--resume", "--set", "training.num_epochs=1")
    assert result.exit_code == 2
    assert "is at step 4, and training.num_epochs=1 ends at step 2; give more" in result.stderr
    assert Checkpoint.load(latest).step == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--resume"], "no such checkpoint: checkpoints/latest.pt"),
        (["--resume_from", "gone.pt"], "no such checkpoint: gone.pt"),
        (["--config", "gone.json"], "configuration file gone.json does not exist"),
        (["--set", "training.lerning_rate=1"], "did you mean 'learning_rate'"),
        (["--set", "model.num_styles=3"], "data.style_subdirs names 2"),
        (["--set", "data.style_subdirs=['photo','pant']"], "did you mean 'paint'"),
        (["--set", "model.latent_channels=16"], "model.latent_channels is 16"),
        (["--set", "checkpoint.save_dir=config.json"], "config.json can not be made"),
        (["--device", "toaster"], "'toaster' is not a device"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], text: str) -> None:
    result = run_lgt("train", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert list(Path().rglob("epoch_*.pt")) == []


def test_resume_with_another_model_says_what_differs(ran: None) -> None:
    result = run_lgt("train", "--resume", "--set", "model.base_channels=16")
    assert result.exit_code == 2
    assert "base_channels=16" in result.stderr
    swapped = run_lgt("train", "--resume", "--set", "data.style_subdirs=['paint','photo']")
    assert swapped.exit_code == 2
    assert "['photo', 'paint'], data.style_subdirs is ['paint', 'photo']" in swapped.stderr


def test_going_on_and_starting_over_exclude_each_other(ran: None) -> None:
    before = saved()
    result = run_lgt("train", "--resume", "--overwrite")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
    assert saved() == before


def test_poisoned_latents_are_named_and_nothing_is_saved() -> None:
    for name in ("photo/2.pt", "paint/4.pt"):
        path = Path("data/latents") / name
        latent = load_latent(path)
        latent[0, 3, 3] = torch.nan
        save_latent(latent, path)
    result = run_lgt("train")
    assert result.exit_code == 2
    assert "2 latent(s) hold values that are not finite" in result.stderr
    assert "data/latents/photo/2.pt" in result.stderr
    assert "data/latents/paint/4.pt" in result.stderr
    assert saved() == []


def test_a_run_that_can_not_go_on_fails_without_a_traceback() -> None:
    result = run_lgt(
        "train",
        *("--set", "training.collapse_threshold=1e9", "--set", "training.collapse_patience=1"),
    )
    assert result.exit_code == 1
    assert "error: outputs no longer depend on the style label" in result.stderr
    assert "Traceback" not in result.stderr
    assert saved() == ["epoch_0001.pt"]


def test_interruption_prints_the_command_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Trainer._advance

    def interrupted(self: Trainer) -> dict[str, float]:
        values = advance(self)
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)
        return values

    Path("config.json").rename("my run.json")
    settings = ["--set", "model.style_dim=12", "--set", "checkpoint.save_dir=my run"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_advance", interrupted)
        result = run_lgt("train", "--config", "my run.json", *settings)
    assert result.exit_code == 130
    stopped, advice = result.stdout.splitlines()
    assert stopped == "stopped at step 3; saved my run/interrupted.pt"
    assert advice.startswith("go on with: lgt train --resume --config 'my run.json'")
    assert Checkpoint.load(Path("my run/latest.pt")).step == 3
    words = shlex.split(advice.partition(": lgt ")[2])
    assert run_lgt(*words).exit_code == 0
    assert Checkpoint.load(Path("my run/latest.pt")).step == 4
    assert not Path("my run/interrupted.pt").exists()


def test_latents_of_unknown_origin_can_be_trained_on() -> None:
    write_latents(Path("bare"), has_manifest=False)
    with pytest.warns(UserWarning, match=r"bare has no manifest\.json"):
        result = run_lgt("train", "--set", "data.data_root=bare")
    assert result.exit_code == 0
    assert Checkpoint.load(Path("checkpoints/latest.pt")).codec is None


def test_config_of_a_checkpoint_is_the_configuration_of_its_run() -> None:
    assert run_lgt("train", "--set", "loss.w_style=2.5").exit_code == 0
    kept = Checkpoint.load(Path("checkpoints/latest.pt")).config
    assert kept == config(training__steps_per_epoch=2, loss__w_style=2.5)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def test_a_damaged_newest_checkpoint_names_the_next_older_one(ran: None) -> None:
    damage(Path("checkpoints/epoch_0002.pt"))
    prolonged = ("--set", "training.num_epochs=3")
    result = run_lgt("train", "--resume", *prolonged)
    assert result.exit_code == 2
    assert "checkpoints/latest.pt: can not be read as a checkpoint" in result.stderr
    command = "lgt train --resume_from checkpoints/epoch_0001.pt --set training.num_epochs=3"
    assert result.stderr.rstrip().endswith(
        f"checkpoints/epoch_0001.pt is the newest that can be read, go on from it with: {command}"
    )
    assert run_lgt(*shlex.split(command)[1:]).exit_code == 0
    assert saved() == ["epoch_0001.pt", "epoch_0002.pt", "epoch_0003.pt"]
    assert Checkpoint.load(Path("checkpoints/epoch_0002.pt")).step == 4
    assert Path("checkpoints/epoch_0002_old1.pt").stat().st_size == 2000, "kept, damaged as it is"


def test_a_damaged_checkpoint_without_an_older_one_stays_an_error(ran_an_epoch: None) -> None:
    damage(Path("checkpoints/epoch_0001.pt"))
    result = run_lgt("train", "--resume")
    assert result.exit_code == 2
    assert "can not be read" in result.stderr and "go on from it" not in result.stderr


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["epoch_0001.pt"], "epoch_0001.pt"),
        (["epoch_0001.pt", "epoch_0002.pt"], "epoch_0002.pt"),
        (["interrupted.pt"], "interrupted.pt"),
    ],
)
@pytest.mark.parametrize("dangles", [False, True])
def test_a_run_without_latest_is_found(
    names: list[str], taken: str, dangles: bool, ran_an_epoch: None
) -> None:
    """Copied without links, or the file that `latest.pt` pointed to was deleted."""
    folder = Path("checkpoints")
    content = (folder / "epoch_0001.pt").read_bytes()
    for path in folder.glob("*.pt"):
        path.unlink()
    for name in names:
        (folder / name).write_bytes(content)
    if dangles:
        (folder / "latest.pt").symlink_to("gone.pt")
    result = run_lgt("train", "--resume")
    assert result.exit_code == 0, result.stderr
    assert f"there is no checkpoints/latest.pt: going on from checkpoints/{taken}" in result.stderr
    assert Checkpoint.load(folder / "latest.pt").step == 4


def test_what_an_interrupted_run_did_later_is_kept(ran: None) -> None:
    folder = Path("checkpoints")
    (folder / "epoch_0002.pt").rename(folder / "interrupted.pt")
    result = run_lgt("train", "--resume_from", folder / "epoch_0001.pt")
    assert result.exit_code == 0, result.stderr
    assert "interrupted.pt is of a later step; it is kept as interrupted_old1.pt" in result.stderr
    assert Checkpoint.load(folder / "interrupted_old1.pt").step == 4


@pytest.mark.parametrize("kind", ["library", "system", "link", "log"])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on(
    kind: str, monkeypatch: pytest.MonkeyPatch, ran_an_epoch: None
) -> None:
    """torch says "unexpected pos" where the disk is full."""
    full = OSError(errno.ENOSPC, "No space left on device")
    before = Path("checkpoints/epoch_0001.pt").read_bytes()

    def save(_content: object, path: Path) -> None:
        path.write_bytes(b"part")
        raise RuntimeError("unexpected pos 5996224 vs 5996112") if kind == "library" else full

    def refuse(*_: object, **__: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        if kind in {"library", "system"}:
            patch.setattr("lgt.model.checkpoint.torch.save", save)
            usage = SimpleNamespace(free=1000) if kind == "library" else SimpleNamespace(free=2e9)
            patch.setattr("lgt.files.shutil.disk_usage", lambda _: usage)
        elif kind == "link":
            patch.setattr(Path, "symlink_to", refuse)
            patch.setattr("os.link", refuse)
        else:
            patch.setattr("csv.DictWriter.writerow", refuse)
        result = run_lgt("train", "--resume")
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "could not be written (the disk is full" in result.stderr
    assert result.stderr.rstrip().endswith("make room, then go on with: lgt train --resume")
    assert "Traceback" not in result.stderr
    assert Path("checkpoints/epoch_0001.pt").read_bytes() == before
    assert not list(Path("checkpoints").rglob(".lgt-*")), "no temporary file is left"
    assert Checkpoint.load(Path("checkpoints/latest.pt")).step == 2
    assert run_lgt("train", "--resume").exit_code == 0
    assert Checkpoint.load(Path("checkpoints/latest.pt")).step == 4
