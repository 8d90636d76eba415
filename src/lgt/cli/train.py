"""`lgt train`: train a model on latents."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import ConfigOption, DeviceOption, SetOption
from lgt.cli.say import echo, is_first
from lgt.errors import CheckpointError, InputError, StorageError
from lgt.lock import sole_writer

if TYPE_CHECKING:
    from lgt.train import Checkpoint


def train(
    config: ConfigOption = None,
    set_: SetOption = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="`lgt` (free energy) or `ot_cfm` (the baseline); sets training.objective."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the newest checkpoint in checkpoint.save_dir."),
    ] = False,
    resume_from: Annotated[
        Path | None,
        typer.Option(
            "--resume_from", "--resume-from", metavar="FILE", help="Go on from this checkpoint."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over in a folder that already holds checkpoints."),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write for TensorBoard, too (extra tensorboard); sets checkpoint.tensorboard.",
        ),
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train one network for all styles; reads config.json, writes checkpoints/.

    Ctrl-C saves and says how to go on. Several processes: `torchrun --nproc_per_node 2 train.py`.
    """
    from torch import Tensor

    from lgt.cli.progress import TrainingProgress
    from lgt.config import load_config
    from lgt.data.dataset import LatentDataset
    from lgt.device import resolve_device
    from lgt.model.checkpoint import (
        INTERRUPTED,
        LATEST,
        checkpoint_to_resume,
        epoch_checkpoints,
        newest_first,
        refuse_outdated,
    )
    from lgt.processor import keep_freed_memory
    from lgt.report.run_page import FILE
    from lgt.train import Trainer
    from lgt.train.memory import check_memory

    keep_freed_memory()

    if overwrite and (resume or resume_from):
        raise InputError("--overwrite starts over and --resume goes on; give one of them")
    overrides = [*(set_ or []), *([f"training.objective={objective}"] if objective else [])]
    overrides += ["checkpoint.tensorboard=true"] if tensorboard else []
    settings = load_config(config, overrides)
    where = str(resolve_device(device))
    save_dir = Path(settings.checkpoint.save_dir)
    command = partial(_command, config, overrides, device)
    if resume and resume_from is None:
        resume_from = checkpoint_to_resume(save_dir)
        if resume_from.name != LATEST:
            echo(f"there is no {save_dir / LATEST}: going on from {resume_from}", err=True)
    existing = [*epoch_checkpoints(save_dir), *save_dir.glob(INTERRUPTED)]
    if existing and resume_from is None and not overwrite:
        raise InputError(
            f"{save_dir} already holds a run (up to {existing[-1].name}); go on with --resume, "
            "start over with --overwrite, or choose another folder with "
            "--set checkpoint.save_dir=FOLDER"
        )
    checkpoint = None if resume_from is None else _load(resume_from, command)
    if checkpoint is not None:
        refuse_outdated(str(resume_from), checkpoint.outdated)
    if checkpoint is not None and checkpoint.optimizer is None:
        raise InputError(
            f"{resume_from}: holds no optimiser state, so training can not go on from it, as from "
            "any model of `lgt pack`; give a .pt file of `lgt train`"
        )
    dataset = LatentDataset.from_config(
        settings.data.data_root,
        settings.data.style_subdirs,
        settings.model.latent_channels,
        settings.data.num_workers,
        in_memory=settings.data.in_memory,
    )
    held = len(dataset) if isinstance(dataset.latents, Tensor) else 0
    warning = check_memory(settings, dataset.latents.shape[1:], held, dataset.codec, where)
    if warning is not None:
        echo(f"WARNING: {warning}", err=True)
    _make_folder(save_dir)
    with _sole_writer(save_dir), TrainingProgress(dataset, save_dir) as progress:
        trainer = Trainer(
            settings,
            dataset,
            device=where,
            checkpoint=checkpoint,
            reporter=progress,
        )
        if trainer.step > trainer.total_steps:
            # Nothing may be cleared away: the run would end without a checkpoint of its last step.
            raise InputError(
                f"can not resume: {resume_from} is at step {trainer.step}, and "
                f"training.num_epochs={settings.training.num_epochs} ends at step "
                f"{trainer.total_steps}; give more epochs, or an earlier checkpoint with "
                "--resume_from"
            )
        if checkpoint is None:
            for path in (*existing, save_dir / LATEST):
                path.unlink(missing_ok=True)  # Several processes may do so at once.
        elif resume_from is not None:
            _keep_later(save_dir / INTERRUPTED, resume_from, checkpoint.step)
        try:
            interrupted = trainer.run()
        except StorageError as error:
            how = command("--resume") if newest_first(save_dir) else command()
            raise StorageError(
                f"{error}; checkpoints that are there are as they were: make room, then go on "
                f"with: {how}"
            ) from error
    is_main = trainer.accelerator.is_main_process
    if interrupted is not None:
        if is_main:
            echo(f"stopped at step {trainer.step}; saved {interrupted}")
            echo(f"go on with: {command('--resume')}")
        raise typer.Exit(130)
    if is_main:
        echo(f"done: {save_dir / LATEST}, sample pictures in {save_dir / 'samples'}")
        if (save_dir / FILE).is_file():
            echo(f"curves and pictures: {save_dir / FILE}", err=True)


def _sole_writer(save_dir: Path) -> AbstractContextManager[None]:
    """Hold the folder of a run; of several processes of one run the first one does."""
    if not is_first():
        return nullcontext()
    return sole_writer(save_dir, "lgt train", "--set checkpoint.save_dir=FOLDER")


def _make_folder(save_dir: Path) -> None:
    try:
        save_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"checkpoint.save_dir: {save_dir} can not be made ({error.strerror}); choose another "
            "folder with --set checkpoint.save_dir=FOLDER"
        ) from error


def _load(path: Path, command: Callable[..., str]) -> Checkpoint:
    """Read a checkpoint; of a damaged one, say from which older one the run goes on."""
    from lgt.model.checkpoint import Checkpoint, newest_first

    try:
        return Checkpoint.load(path)
    except CheckpointError as error:
        older = (p for p in newest_first(path.parent) if p.resolve() != path.resolve())
        good = next((p for p in older if _is_whole(p)), None)
        if good is None or not path.is_file():
            raise
        raise CheckpointError(
            f"{error}; {good} is the newest that can be read, go on from it with: "
            f"{command('--resume_from', str(good))}"
        ) from error


def _is_whole(path: Path) -> bool:
    from lgt.model.checkpoint import Checkpoint

    try:
        return Checkpoint.load(path).optimizer is not None
    except CheckpointError:
        return False


def _keep_later(interrupted: Path, resumed: Path, step: int) -> None:
    """Keep what an interrupted run did after the step that another one goes on from."""
    from lgt.model.checkpoint import Checkpoint, set_aside

    if not interrupted.is_file() or interrupted.resolve() == resumed.resolve():
        return
    try:
        is_later = Checkpoint.load(interrupted).step > step
    except CheckpointError:
        return
    if is_later:
        kept = set_aside(interrupted)
        echo(f"{interrupted.name} is of a later step; it is kept as {kept.name}", err=True)


def _command(config: Path | None, overrides: list[str], device: str, *way: str) -> str:
    """Return the command line that goes on with the same settings, in the way given."""
    words = ["lgt", "train", *way]
    words += ["--config", str(config)] if config else []
    words += [word for item in overrides for word in ("--set", item)]
    words += ["--device", device] if device != "auto" else []
    return shlex.join(words)
