"""Learn one more style for a trained model: the network stays, only the style's own code moves.

The energy is the training's: collections, critics, features, with the photos and the new works as
its two styles. Works are looked at as pictures, at the scale that the model was trained at, and
outputs with the detail that inference gives back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from lgt.build import DECODED_SCALE, build_energy, build_perceptual_network
from lgt.config import Config, config_from_dict, config_to_dict
from lgt.data.clips import PictureWorks, Works
from lgt.data.dataset import Batch
from lgt.data.source_pictures import GivenPictures, Squares
from lgt.device import resolve_dtype
from lgt.dynamics.solvers import SOLVERS, Velocity
from lgt.energy import CollectionDistance, CriticDistance, StyleBank
from lgt.energy.detail import Photos
from lgt.errors import InputError, TrainingError
from lgt.model.checkpoint import save_content
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.decoded import DecodedFeatures
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import diffusion_of
from lgt.paint.transfer import LGTInference
from lgt.train.objective import FreeEnergyObjective
from lgt.train.process import stop_requests
from lgt.train.schedule import step_generator

EMBEDDING_RATE = 2e-2
"""Peak learning rate of the embedding, whose numbers are about 1."""
OFFSET_RATE = 3e-3
"""Peak learning rate of the kernels' offsets; kernels are about 0.3."""
MIN_RATIO, WARMUP_STEPS = 0.05, 3
SAVE_SECONDS = 15.0
PROBE_STEP = 10**9
"""First number of the draws that styles are compared with."""
PROBE_PHOTOS = 2
"""Photos that they are compared on."""
PHOTO, NEW = 0, 1
"""Style ids within the energy."""
WINDOW = 32
"""Side of the windows that are painted, in latent positions."""

Report = Callable[[int, float, float], None]
"""Is told the steps done, the fraction done in [0, 1] and the energy."""


@dataclass(frozen=True, kw_only=True)
class LearningPlan:
    """How long and how to learn."""

    steps: int = 600
    seconds: float = 600.0
    """Learning ends by then, with fewer steps; the learning rate falls to its end all the same."""
    batch_size: int = 4
    seed: int = 0
    base: str | None = None
    """Style of the model to start from; None: the one with the least energy on the works."""
    precision: str = "fp32"


@dataclass(frozen=True)
class Pictures:
    """What latents were made of, where the energy looks at that."""

    photos: Sequence[Path]
    """Files."""
    works: Sequence[Path]
    """Files, which collections and critics look at."""
    squares: Tensor
    """What the latents of the photos are of, `[N, 3, H, W]`, uint8: has what the codec loses."""


class StyleCode(nn.Module):
    """The numbers that are learned: an embedding, and offsets of the kernels that it makes.

    Note:
        An embedding alone can only reach kernels that the hypernetwork learned to make; with
        offsets the style's kernels are free, and the hypernetwork is still not touched.
    """

    def __init__(self, network: LGTUNet, style_id: int) -> None:
        super().__init__()
        code = network.blend({style_id: 1.0}).detach().clone()
        size = sum(a * b for a, b in network.offset_sizes)
        offsets = code[network.style_dim :]
        self.embedding = nn.Parameter(code[: network.style_dim].clone())
        self.offsets = nn.Parameter(offsets.clone() if len(offsets) else code.new_zeros(size))

    def forward(self) -> Tensor:
        """Return the code `[L]`, as `LGTUNet.add_style` takes it."""
        return torch.cat([self.embedding, self.offsets])


class NewStyleObjective(FreeEnergyObjective):
    """The free energy of photos painted with a code; a photo's own style is not given."""

    code: Tensor

    def velocity(self, batch: Batch, generator: Generator) -> Velocity:
        """Bind the network to the code and to the sources."""
        rows = len(batch.x_src)
        condition = self.network.condition(
            self.code.expand(rows, -1),
            torch.full((rows,), NULL_STYLE, device=self.code.device),
            batch.x_src if self.network.condition_on_source else None,
        )
        return lambda x, t: self._field(x, t, condition)


class StyleLearner:
    """One run of learning; its state can be written and read between any two steps.

    Args:
        lgt: The model; its weights are read, never written.
        photos: Scaled latents `[N, C, h, w]` of what shall be painted.
        works: Scaled latents `[M, C, h, w]` of the style, of the same size.
        plan: How long and how.
        pictures: What the latents are of; None: the latents are all that there is.
    """

    def __init__(
        self,
        lgt: LGTInference,
        photos: Tensor,
        works: Tensor,
        plan: LearningPlan,
        pictures: Pictures | None = None,
    ) -> None:
        self.plan, self.network = plan, lgt.network.requires_grad_(False).eval()
        self.is_reduced = resolve_dtype(plan.precision) != torch.float32
        config = _learning_config(lgt.config)
        self.photos = photos.to(lgt.device)
        latents = torch.cat([self.photos, works.to(lgt.device)])
        ids = torch.tensor([PHOTO] * len(photos) + [NEW] * len(works))
        bank = StyleBank(latents, ids, 2, softness=config.loss.assignment_softness)
        features = build_perceptual_network(config, lgt.codec_spec, lgt.device)
        seen: Works | None = None
        shown: Photos | None = None
        if isinstance(features, DecodedFeatures) and pictures is not None:
            shown = GivenPictures(pictures.squares, DECODED_SCALE)
            config = _with_detail(config, lgt.config.inference.detail)
            seen = PictureWorks(
                features.features_of_pictures,
                {"photo": pictures.photos, "new": pictures.works},
                Squares(lgt.trained_side * DECODED_SCALE),
                WINDOW * DECODED_SCALE,
                margin=config.loss.works_margin,
                device=lgt.device,
            )
        training = config.training
        self.objective = NewStyleObjective(
            self.network,
            build_energy(config, bank, features, works=seen, photos=shown),
            num_steps=training.ode_integration_steps,
            step=SOLVERS[training.solver],
            start=Sampler.of(config).begins,
            start_time_range=training.start_time_range,
            diffusion=diffusion_of(Sampler.of(config)) if training.use_langevin else None,
            is_random=training.random_path,
        )
        self.base = plan.base or self._nearest(lgt)
        self.code = StyleCode(self.network, lgt.style_id(self.base)).to(lgt.device)
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.code.embedding], "peak": EMBEDDING_RATE},
                {"params": [self.code.offsets], "peak": OFFSET_RATE},
            ],
            betas=(0.9, 0.99),
        )
        self.step, self.elapsed = 0, 0.0

    @property
    def fraction(self) -> float:
        """Share of the work done, in [0, 1]: of the steps, or of the time."""
        share = max(self.step / self.plan.steps, self.elapsed / self.plan.seconds)
        return min(1.0, share)

    @property
    def _memories(self) -> dict[str, CollectionDistance | CriticDistance]:
        """What of the energy is part of the state."""
        found = {"collection": self.objective.collection, "critic": self.objective.critic}
        return {name: memory for name, memory in found.items() if memory is not None}

    @torch.no_grad()
    def energy_of(self, code: Tensor) -> float:
        """Return the energy of photos painted with a code; the same draws at every call.

        Nothing is learned from them: neither critics, nor moments of collections.
        """
        memory = self.objective.collection
        kept = {} if memory is None else {k: v.clone() for k, v in memory.state_dict().items()}
        self.objective.code = code
        energy = float(self._energy(step_generator(self.plan.seed, PROBE_STEP), PROBE_PHOTOS))
        if memory is not None:
            memory.load_state_dict(kept)
        return energy

    def advance(self) -> float:
        """Do one step and return the energy before it.

        Raises:
            TrainingError: The energy is not finite.
        """
        began = time.perf_counter()
        fall = 0.5 * (1 + math.cos(math.pi * self.fraction))
        warm = min(1.0, (self.step + 1) / WARMUP_STEPS)
        rate = warm * (MIN_RATIO + (1 - MIN_RATIO) * fall)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["peak"]
        self.objective.code = self.code()
        generator = step_generator(self.plan.seed, self.step)
        total = self._energy(generator, self.plan.batch_size)
        energy = float(total.detach())
        if not math.isfinite(energy):
            raise TrainingError(
                f"step {self.step + 1}: the energy is not finite; check the pictures, or use "
                "another --seed"
            )
        total.backward()
        nn.utils.clip_grad_norm_(self.code.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.elapsed += time.perf_counter() - began
        return energy

    def works(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """Return what a style file keeps of the works; None: the energy compares no collections."""
        memory = self.objective.collection
        if memory is None:
            return None
        return {name: t.numpy() for name, t in memory.works.rows([NEW]).packed().items()}

    def save(self, path: Path, key: dict[str, Any]) -> None:
        """Write the state; `key` says what it belongs to."""
        content = {
            "key": key,
            "step": self.step,
            "elapsed": self.elapsed,
            "base": self.base,
            "code": self.code.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: memory.state_dict() for name, memory in self._memories.items()},
        }
        save_content(content, path)

    def load(self, path: Path, key: dict[str, Any]) -> bool:
        """Go on from a state; False, and nothing changed, where it belongs to other settings."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["key"] != key:
                return False
            self.code.load_state_dict(content["code"])
            self.optimizer.load_state_dict(content["optimizer"])
            for name, memory in self._memories.items():
                memory.load_state_dict(content[name])
            self.step, self.elapsed = content["step"], content["elapsed"]
            self.base = content["base"]
        except Exception:  # Whatever the file is, it is no state of this program.
            return False
        return True

    def run(self, partial: Path, key: dict[str, Any], report: Report) -> bool:
        """Learn to the end, or to Ctrl-C; return whether the end was reached.

        The state is written to `partial` every few seconds and at an interruption.
        """
        saved = time.monotonic()
        with stop_requests() as stop:
            while self.fraction < 1:
                energy = self.advance()
                report(self.step, self.fraction, energy)
                if stop.is_set() and self.fraction < 1:
                    self.save(partial, key)
                    return False
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save(partial, key)
                    saved = time.monotonic()
        return True

    def _energy(self, generator: Generator, num_photos: int) -> Tensor:
        count = min(num_photos, len(self.photos))
        index = torch.randperm(len(self.photos), generator=generator)[:count]
        batch = Batch(
            self.photos[index.to(self.photos.device)],
            torch.full((count,), PHOTO),
            torch.full((count,), NEW),
            index,
        )
        kind = self.photos.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=self.is_reduced):
            total: Tensor = self.objective(batch, generator).total
        return total

    def _nearest(self, lgt: LGTInference) -> str:
        energies = {
            name: self.energy_of(self.network.blend({lgt.style_id(name): 1.0}))
            for name in lgt.painted_styles
        }
        return min(energies, key=lambda name: energies[name])


def _learning_config(config: Config) -> Config:
    """Return the model's configuration with the photos and the new works as its two styles."""
    values = config_to_dict(config)
    names = ["photo", "new"]
    values["data"] |= {"style_subdirs": names, "source_subdirs": names[:1]}
    values["model"]["num_styles"] = len(names)
    # What names styles or files of the model's own training.
    values["training"]["target_shares"] = values["loss"]["content_by_style"] = {}
    values["loss"] |= {"works_root": "", "detail": 0.0, "feature_crop": WINDOW}
    if values["loss"]["perceptual_network"] not in ("none", "decoded"):
        values["loss"]["perceptual_network"] = "auto"  # Its file may be elsewhere.
    return config_from_dict(values, "the model's configuration")


def _with_detail(config: Config, share: float) -> Config:
    """Return a configuration whose energy is given back the detail that inference gives back."""
    return config.model_copy(update={"loss": config.loss.model_copy(update={"detail": share})})


def spread(files: Sequence[Path], most: int) -> list[Path]:
    """Return at most `most` files, evenly spread over the list."""
    if len(files) <= most:
        return list(files)
    if most < 1:
        raise InputError(f"the number of pictures must be at least 1 (got {most})")
    return [files[i * len(files) // most] for i in range(most)]
