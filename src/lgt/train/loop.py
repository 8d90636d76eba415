"""The training loop: the same code on a CPU, one GPU or several processes, through accelerate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lgt.build import (
    PerceptualFeatures,
    build_bank,
    build_network,
    build_perceptual_network,
    build_works,
    target_shares,
    uses_features,
)
from lgt.config.schema import Config, TrainingConfig
from lgt.data.dataset import LatentDataset, random_windows, sample_batch
from lgt.device import sent
from lgt.energy import CollectionDistance, CriticDistance
from lgt.errors import InputError, TrainingError
from lgt.files import remove_stale_temporaries
from lgt.model.checkpoint import INTERRUPTED, Checkpoint, epoch_checkpoints, link_latest, prune
from lgt.model.progress import Progress
from lgt.report.log import Reporter, SilentReporter
from lgt.train.average import WeightAverage
from lgt.train.collapse import CollapseGuard, require_two_styles
from lgt.train.epochs import EpochCounter
from lgt.train.objective import build_objective, compiler_errors
from lgt.train.optimizer import build_optimizer
from lgt.train.process import make_accelerator, stop_requests
from lgt.train.readings import Reading, Readings, require_finite
from lgt.train.samples import SampleSheet
from lgt.train.schedule import learning_rate_at, step_generator
from lgt.train.standing import distances_to_works
from lgt.train.start import start_with
from lgt.train.watch import RunWatch


class Trainer:
    """One run: state, and the steps that advance it.

    Args:
        config: The configuration; `model` must equal the checkpoint's when resuming.
        dataset: Latents of all styles.
        device: `cpu`, `cuda` or `cuda:N`; anything else leaves the choice to accelerate.
        checkpoint: State to resume from.
        reporter: Shows progress, of the main process.
    """

    def __init__(
        self,
        config: Config,
        dataset: LatentDataset,
        *,
        device: str = "auto",
        checkpoint: Checkpoint | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.config, self.dataset = config, dataset
        training = config.training
        self.accelerator = make_accelerator(training.mixed_precision, device)
        if reporter is None or not self.accelerator.is_main_process:
            reporter = SilentReporter()
        self.reporter = reporter
        if self.accelerator.mixed_precision != training.mixed_precision:
            reporter.message("this device does not compute in bf16: training in full precision")
        self.watch = RunWatch(config, reporter, is_main=self.accelerator.is_main_process)
        self.source_styles = [
            dataset.style_names.index(name) for name in config.data.source_subdirs
        ] or list(range(dataset.num_styles))
        self._target_shares = target_shares(config)
        require_two_styles(config, dataset.style_names, self.source_styles, self._target_shares)
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        self.samples = SampleSheet(config, dataset, self.source_styles, self.watch.warn)
        self.latents = dataset.latents.to(self.accelerator.device, memory_format=layout)
        self.network = build_network(config).to(memory_format=layout)  # type: ignore[call-overload]
        if checkpoint is None and training.init_from:
            start_with(self.network, config)
        bank = build_bank(config, self.latents, dataset.style_ids)
        features = self._feature_network()
        works = build_works(config, bank, features, reporter.measured)
        objective = build_objective(config, self.network, bank, features, dataset.paths, works)
        self.objective, self.optimizer = self.accelerator.prepare(
            objective, build_optimizer(self.network, training)
        )
        self.average = WeightAverage(self.network, training.ema_decay)
        self.step = 0
        self._written: set[Path] = set()
        self.save_dir = Path(config.checkpoint.save_dir)
        shown = self.samples.indices.to(self.latents.device)
        styles = self.samples.styles.to(self.latents.device)
        self.guard = CollapseGuard(config, self.latents[shown], styles)
        if checkpoint is not None:
            self._restore(checkpoint)
        self.epochs = self._count_epochs(checkpoint)
        self.readings = Readings(self.latents.device.type)
        self._ready: list[Reading] = []

    def _feature_network(self) -> PerceptualFeatures | None:
        """Load the perceptual network that the energy needs, or say that it does without."""
        loss = self.config.loss
        if self.config.training.objective != "lgt":
            return None
        network = build_perceptual_network(self.config, self.dataset.codec, self.latents.device)
        if network is not None:
            return network
        if loss.perceptual_network == "auto" and uses_features(self.config):
            codec = self.dataset.codec
            self.watch.warn(
                f"no perceptual network for latents of "
                f"{'an unknown codec' if codec is None else codec.name}: loss.feature_gain and "
                "the other gains of features have no effect, and brush work will be weak"
            )
        return None

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return self.epochs.epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch, from this session on."""
        return self.epochs.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Step at which the run is complete."""
        return self.epochs.total(self.config.training.num_epochs)

    def run(self) -> Path | None:
        """Train to the end, or to an interruption.

        Returns:
            The checkpoint of an interrupted run, or None when the run is complete.

        Raises:
            TrainingError: The energy is not finite, or the style label has no effect.
        """
        training, main = self.config.training, self.accelerator.is_main_process
        if main:
            remove_stale_temporaries(self.save_dir)
        self.watch.begin(
            self.dataset,
            first_step=self.step,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            num_processes=self.accelerator.num_processes,
            device=str(self.latents.device),
        )
        self.reporter.begin(self.step, self.total_steps, self.epoch, training.num_epochs)
        if main:
            self._complete_sheet()
        try:
            with stop_requests() as stop:
                while self.step < self.total_steps:
                    self._advance()
                    is_over = self.epochs.is_over(self.step)
                    if is_over:
                        self._read()
                    if not self._told():
                        continue
                    if is_over:
                        self._end_epoch(self.epochs.finish(self.step))
                    if self._any_process(stop.is_set()) and self.step < self.total_steps:
                        path = self._save(self.save_dir / INTERRUPTED)
                        self.watch.end("interrupted")
                        return path
        except BaseException as error:
            self.watch.end("failed", str(error) or type(error).__name__)
            raise
        self.watch.end("complete")
        (self.save_dir / INTERRUPTED).unlink(missing_ok=True)
        return None

    def _advance(self) -> dict[str, Tensor | float]:
        """Do one optimiser step and return its numbers, which are left on the device."""
        training = self.config.training
        self.readings.begin()
        generator = step_generator(training.seed, self.step, self.accelerator.process_index)
        drawn = sample_batch(
            self.dataset,
            training.batch_size,
            self.source_styles,
            generator,
            target_shares=self._target_shares,
        )
        whole = self.latents[sent(drawn.index, self.latents.device)]
        x_src, corner = random_windows(whole, training.window, generator)
        batch = replace(drawn, x_src=x_src, corner=corner)
        rate = learning_rate_at(
            self.step,
            peak=training.learning_rate,
            total_steps=self.total_steps,
            warmup_steps=training.warmup_steps,
            schedule=training.lr_schedule,
            min_ratio=training.min_lr_ratio,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        with compiler_errors(training.compile):
            terms = self.objective(batch, generator)
            self.accelerator.backward(terms.total)
        limit = training.grad_clip_norm or float("inf")
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), limit)
        values = {**terms.as_dict(), "learning_rate": rate, "gradient_norm": norm}
        self.readings.take(self.step + 1, values, drawn.index)
        if self.readings.is_full:  # Before the weights move: what is wrong must not reach them.
            self._read()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.average.update(self.network, self.step)
        return values

    def _read(self) -> None:
        """Look at the numbers of the last steps.

        Raises:
            TrainingError: One is not finite.
        """
        for reading in self.readings.read():
            newest = epoch_checkpoints(self.save_dir)[-1:]
            advice = f"resume from {newest[0]}" if newest else "start again"
            require_finite(reading, self.epoch, self.dataset.paths, advice)
            self._ready.append(reading)

    def _told(self) -> bool:
        """Tell the numbers that were read; return whether there were any."""
        ready, self._ready = self._ready, []
        for reading in ready:
            self.epochs.take(reading.values)
            self.watch.take_step(reading.step, reading.values)
            self.reporter.step(reading.step, reading.values)
        return bool(ready)

    def _end_epoch(self, means: dict[str, float]) -> None:
        distance = self.guard.look(self.network, self.step)
        self.watch.record.collapse_limit = self.guard.limit
        row = {
            **means,
            **distances_to_works(self._memory("collection"), self.dataset.style_names),
            "epoch": float(self.epoch),
            "step": float(self.step),
            "images": float(self.epochs.images),
            "id_swap_distance": distance,
        }
        self.watch.take_epoch(row)
        self.reporter.epoch(row)
        keys, training = self.config.checkpoint, self.config.training
        stops = self.guard.is_collapsed and training.on_collapse == "stop"
        if self.epoch % keys.save_every == 0 or self.step == self.total_steps or stops:
            path = self._save(self.save_dir / f"epoch_{self.epoch:04d}.pt")
            if self.accelerator.is_main_process:
                prune(self.save_dir, keys.keep_last, newest=path)
                with self.average.weights_of(self.network):
                    sheet = self.samples.write(self.network, path)
                self.watch.take_checkpoint(path, self.epoch, sheet)
        if stops:
            raise TrainingError(self.guard.text(distance))
        if self.guard.is_collapsed:
            self.watch.warn(f"WARNING: {self.guard.text(distance)}")

    def _complete_sheet(self) -> None:
        """Draw the contact sheet of the checkpoint that the run goes on from, if a kill took it."""
        path = self.save_dir / f"epoch_{self.epoch:04d}.pt"
        is_at_it = path.is_file() and not self.epochs.progress(self.step).epoch_steps
        wants_it = self.config.checkpoint.num_samples and not self.samples.path_of(path).is_file()
        if is_at_it and wants_it:
            with self.average.weights_of(self.network):
                written = self.samples.write(self.network, path)
            self.watch.take_checkpoint(path, self.epoch, written)

    def _any_process(self, flag: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return flag
        flags = torch.tensor([int(flag)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flags, "sum").item())

    def _save(self, path: Path) -> Path:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            channels, height, width = self.latents.shape[1:]
            state = Checkpoint(
                config=self.config,
                style_names=self.dataset.style_names,
                codec=self.dataset.codec,
                latent_shape=(channels, height, width),
                step=self.step,
                network=self.network.state_dict(),
                ema=self.average.state_dict(),
                collection=_state_of(self._memory("collection")),
                critic=_state_of(self._memory("critic")),
                works=getattr(self._memory("collection"), "works", None),
                optimizer=self.optimizer.state_dict(),
                collapse_count=self.guard.count,
                is_collapsed=self.guard.is_collapsed,
                progress=self.epochs.progress(self.step),
            )
            is_others = path not in self._written and path.name != INTERRUPTED
            kept = state.save(path, keeps_old=is_others)
            if kept is not None:
                self.watch.warn(f"{path.name} was there already; it is kept as {kept.name}")
            self._written.add(path)
            link_latest(path)
        self.accelerator.wait_for_everyone()  # No process may end before the file is complete.
        return path

    def _memory(self, name: str) -> CollectionDistance | CriticDistance | None:
        """Return what the energy remembers of earlier outputs, by its name in checkpoints."""
        objective = self.accelerator.unwrap_model(self.objective)
        found: CollectionDistance | CriticDistance | None = getattr(objective, name, None)
        return found

    def _restore(self, checkpoint: Checkpoint) -> None:
        if checkpoint.optimizer is None:
            raise InputError(
                "can not resume: the checkpoint holds no optimiser state, as a model of `lgt pack` "
                "does not; resume from a .pt file of `lgt train`"
            )
        if checkpoint.config.model != self.config.model:
            raise InputError(
                "can not resume: the checkpoint's `model` section differs from the "
                f"configuration's; checkpoint: {checkpoint.config.model}, configuration: "
                f"{self.config.model}"
            )
        trained, wanted = checkpoint.config.training.objective, self.config.training.objective
        if trained != wanted:
            raise InputError(
                f"can not resume: the checkpoint was trained with training.objective={trained}, "
                f"the configuration says {wanted}"
            )
        if checkpoint.style_names != self.dataset.style_names:
            raise InputError(
                f"can not resume: the checkpoint knows the styles {list(checkpoint.style_names)}, "
                f"data.style_subdirs is {list(self.dataset.style_names)}"
            )
        self.network.load_state_dict(checkpoint.network)
        if checkpoint.ema is None:  # Averaging was off: start it from the trained weights.
            self.average = WeightAverage(self.network, self.config.training.ema_decay)
        else:
            self.average.load_state_dict(checkpoint.ema)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        for name in ("collection", "critic"):
            memory, state = self._memory(name), getattr(checkpoint, name)
            if memory is not None and state is not None:
                try:
                    memory.load_state_dict(state)
                except (RuntimeError, KeyError, ValueError) as error:
                    raise InputError(
                        f"can not resume: what the checkpoint remembers of its outputs ({name}) "
                        "does not fit the energy; keep loss.perceptual_network and backbones as "
                        "they were, or start anew from its weights with training.init_from"
                    ) from error
        self.step, self.guard.count = checkpoint.step, checkpoint.collapse_count

    def _count_epochs(self, checkpoint: Checkpoint | None) -> EpochCounter:
        """Return the counter of this session; say so if epochs have another length now."""
        training, processes = self.config.training, self.accelerator.num_processes
        sources = sum(len(self.dataset.indices_of(style)) for style in self.source_styles)
        steps = _steps_per_epoch(training, sources, processes)
        batch_size = training.batch_size * processes
        if checkpoint is None:
            return EpochCounter(steps, batch_size)
        progress = checkpoint.progress
        if progress is None:  # Of an earlier version, which counted epochs from its settings.
            before = checkpoint.config.training
            progress = Progress.of_step(
                checkpoint.step,
                steps_per_epoch=_steps_per_epoch(before, sources, processes),
                batch_size=before.batch_size * processes,
            )
        epochs = EpochCounter(steps, batch_size, progress, checkpoint.step)
        if steps != epochs.steps_before and epochs.epoch < training.num_epochs:
            self.watch.warn(
                f"epochs have {steps} steps now, they had {epochs.steps_before}: epoch "
                f"{epochs.epoch + 1} begins at step {checkpoint.step}, and epoch "
                f"{training.num_epochs} ends at step {epochs.total(training.num_epochs)}"
            )
        return epochs


def _state_of(memory: CollectionDistance | CriticDistance | None) -> dict[str, Any] | None:
    return None if memory is None else memory.state_dict()


def _steps_per_epoch(training: TrainingConfig, sources: int, processes: int) -> int:
    return training.steps_per_epoch or -(-sources // (training.batch_size * processes))
