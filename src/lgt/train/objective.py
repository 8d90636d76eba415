"""What training minimises, as modules: batch in, energy terms out.

The objective owns the network, so that data-parallel wrappers see one forward call a step however
often the solver evaluates the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor, nn

from lgt.build import (
    PerceptualFeatures,
    build_energy,
)
from lgt.config.schema import Config
from lgt.data.clips import Works
from lgt.data.dataset import Batch
from lgt.device import sent
from lgt.dynamics import (
    integrate,
    interpolant_velocity,
    interpolate,
    start_state,
    with_kinetic_energy,
)
from lgt.dynamics.schedules import Schedule, scaled
from lgt.dynamics.solvers import SOLVERS, Step, Velocity
from lgt.energy import Collection, Critic, EnergyTerms, FreeEnergy, StyleBank
from lgt.errors import LGTError, TrainingError
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import diffusion_of

MOST_HEAT = 3.0
"""Most noise along a path of random length, as a multiple of the inference's own: its users turn
the temperature up, too."""


def drop_labels(labels: Tensor, probability: float, generator: Generator) -> Tensor:
    """Replace each label by `NULL_STYLE` with the given probability, independently."""
    dropped = torch.rand(len(labels), generator=generator) < probability
    return torch.where(dropped, NULL_STYLE, labels)


@contextmanager
def compiler_errors(is_compiled: bool) -> Iterator[None]:
    """Say that `training.compile` may be at fault where a compiled step fails.

    The compiler runs at the first forward and backward pass, and its faults look like ours: PyTorch
    2.13 raises `UnboundLocalError` for bfloat16 on some processors with AMX.
    """
    try:
        yield
    except LGTError:
        raise
    except Exception as error:
        if not is_compiled:
            raise
        raise TrainingError(
            f"the compiled network failed ({type(error).__name__}: {error}); if "
            "training.compile=false works, PyTorch's compiler can not do it on this machine"
        ) from error


class Objective(nn.Module):
    """Base: a network, conditioned on dropped-out labels and perhaps on the source.

    Args:
        network: The velocity field.
        label_drop_prob: Probability that a target label, and independently a source label, is
            replaced by the null style.
        compile_network: Evaluate the network through `torch.compile`.
    """

    def __init__(
        self, network: LGTUNet, *, label_drop_prob: float, compile_network: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.label_drop_prob = label_drop_prob
        self._field = torch.compile(network.velocity) if compile_network else network.velocity

    def velocity(self, batch: Batch, generator: Generator) -> Velocity:
        """Bind the network to a batch's labels, after dropout, and sources."""
        target = drop_labels(batch.target_style_id, self.label_drop_prob, generator)
        source = drop_labels(batch.source_style_id, self.label_drop_prob, generator)
        device = batch.x_src.device
        condition = self.network.condition(
            sent(target, device),
            sent(source, device),
            batch.x_src if self.network.condition_on_source else None,
        )
        return lambda x, t: self._field(x, t, condition)


class FreeEnergyObjective(Objective):
    """The free energy at the end of the path: integrate from the start state, evaluate E(x_1).

    Args:
        network: The velocity field.
        energy: The free energy.
        num_steps: Solver steps.
        step: Drift integrator.
        start: `source`, `noised_source` or `noise`.
        start_time_range: Range of the uniform start time of `noised_source`.
        diffusion: sigma(t), or None.
        is_random: Go to t = 1 in one step, the only one with a gradient, from a state somewhere on
            a path of 1 to `num_steps` steps, drawn for each batch.
        label_drop_prob: See :class:`Objective`.
        compile_network: See :class:`Objective`.
    """

    def __init__(
        self,
        network: LGTUNet,
        energy: FreeEnergy,
        *,
        num_steps: int,
        step: Step,
        start: str = "source",
        start_time_range: tuple[float, float] = (0.0, 1.0),
        diffusion: Schedule | None = None,
        is_random: bool = False,
        label_drop_prob: float = 0.1,
        compile_network: bool = False,
    ) -> None:
        super().__init__(network, label_drop_prob=label_drop_prob, compile_network=compile_network)
        self.energy, self.num_steps, self.step = energy, num_steps, step
        self.is_random = is_random
        found = energy.term(Collection)
        # A module: its moments are part of the run's state.
        self.collection = None if found is None else found.distance
        learned = energy.term(Critic)
        self.critic = None if learned is None else learned.distance
        self.start, self.start_time_range = start, start_time_range
        self.diffusion = diffusion

    def forward(self, batch: Batch, generator: Generator) -> EnergyTerms:
        """Return the energy terms of a batch; `total` carries the gradient."""
        x_1, kinetic = self.end_state(batch, generator)
        return self.energy_of(x_1, batch, kinetic, generator)

    def end_state(self, batch: Batch, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """Integrate to t = 1; also return the mean squared velocity, if the energy weighs it."""
        x, t = self._start(batch.x_src, generator)
        velocity = self.velocity(batch, generator)
        mean_square = None
        if self.energy.weighs("velocity"):
            velocity, mean_square = with_kinetic_energy(velocity)
        x_1 = self._follow(velocity, x, t, generator)
        return x_1, None if mean_square is None else mean_square()

    def energy_of(
        self, x_1: Tensor, batch: Batch, kinetic: Tensor | None, generator: Generator
    ) -> EnergyTerms:
        """Evaluate the energy of end states."""
        return self.energy(
            x_1,
            batch.x_src,
            batch.target_style_id,
            batch.source_style_id,
            batch.index,
            source_corner=batch.corner,
            kinetic=kinetic,
            generator=generator,
        )

    def _follow(
        self, velocity: Velocity, x: Tensor, t: Tensor | float, generator: Generator
    ) -> Tensor:
        """Integrate to t = 1; along a path of random length only the last step has a gradient."""
        if not self.is_random:
            return integrate(
                velocity,
                x,
                num_steps=self.num_steps,
                start=t,
                step=self.step,
                diffusion=self.diffusion,
                generator=generator,
            )
        count = 1 + int(torch.randint(self.num_steps, (), generator=generator))
        done = int(torch.randint(count, (), generator=generator))
        heat = MOST_HEAT * float(torch.rand((), generator=generator))
        with torch.no_grad():
            x = integrate(
                velocity,
                x,
                num_steps=count,
                start=t,
                step=self.step,
                diffusion=None if self.diffusion is None else scaled(self.diffusion, heat),
                generator=generator,
                stop=done,
            )
        return integrate(
            velocity, x, num_steps=1, start=t + (1 - t) * (done / count), step=self.step
        )

    def _start(self, x_src: Tensor, generator: Generator) -> tuple[Tensor, Tensor | float]:
        if self.start == "source":
            return x_src, 0.0
        low, high = self.start_time_range if self.start == "noised_source" else (0.0, 0.0)
        t = low + (high - low) * torch.rand(len(x_src), generator=generator)
        return start_state(x_src, t, generator), t


class FlowMatchingObjective(Objective):
    """The OT-CFM baseline: match the velocity of straight paths from sources to paired works.

    Each source is paired with a work of its target style by minibatch optimal transport: as many
    works as the batch has sources are drawn, and the assignment with the least squared distance is
    taken.

    References:
        Tong et al., Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal
        Transport, 2024, section 3.2.2, https://arxiv.org/abs/2302.00482
    """

    def __init__(
        self,
        network: LGTUNet,
        bank: StyleBank,
        *,
        label_drop_prob: float = 0.1,
        compile_network: bool = False,
    ) -> None:
        super().__init__(network, label_drop_prob=label_drop_prob, compile_network=compile_network)
        self.bank = bank

    def forward(self, batch: Batch, generator: Generator) -> EnergyTerms:
        """Return the mean squared velocity error as `total` and `velocity`."""
        x_0 = batch.x_src
        x_1 = self._paired_works(batch, generator)
        t = torch.rand(len(x_0), generator=generator).to(x_0.device)
        predicted = self.velocity(batch, generator)(interpolate(x_0, x_1, t), t)
        error = (predicted.float() - interpolant_velocity(x_0, x_1)).square().mean()
        zero = error.new_zeros(())
        return EnergyTerms(error, style=zero, content=zero, values={"velocity": error})

    def _paired_works(self, batch: Batch, generator: Generator) -> Tensor:
        x_1 = torch.empty_like(batch.x_src)
        for style_id in sorted(set(batch.target_style_id.tolist())):
            rows = torch.where(batch.target_style_id == style_id)[0]
            sources = batch.x_src[rows.to(x_1.device)]
            works = self.bank.works(style_id, len(batch.x_src), generator)
            if len(works) < len(rows):
                works = works.repeat(-(-len(rows) // len(works)), 1, 1, 1)
            cost = torch.cdist(sources.flatten(1), works.flatten(1)).square()
            _, chosen = linear_sum_assignment(cost.cpu().numpy())
            x_1[rows.to(x_1.device)] = works[torch.as_tensor(chosen, device=works.device)]
        return x_1


def build_objective(
    config: Config,
    network: LGTUNet,
    bank: StyleBank,
    features: PerceptualFeatures | None = None,
    latent_paths: Sequence[Path] = (),
    works: Works | None = None,
) -> Objective:
    """Build what `training.objective` names; see :func:`build_energy` for what it looks at."""
    training = config.training
    if training.objective == "ot_cfm":
        return FlowMatchingObjective(
            network,
            bank,
            label_drop_prob=training.label_drop_prob,
            compile_network=training.compile,
        )
    return FreeEnergyObjective(
        network,
        build_energy(config, bank, features, latent_paths, works),
        num_steps=training.ode_integration_steps,
        step=SOLVERS[training.solver],
        start=training.start,
        start_time_range=training.start_time_range,
        diffusion=diffusion_of(Sampler.of(config)) if training.use_langevin else None,
        is_random=training.random_path,
        label_drop_prob=training.label_drop_prob,
        compile_network=training.compile,
    )
