"""Teach a model to reach in one step what it reaches in several with guidance.

    python scripts/distill_guidance.py embedded data/latents guided.pt

The teacher is the model itself. From windows of photos it follows the guided path; the student,
which starts from the same weights, learns the straight way to that path's end from its start and
from a point on it, and the teacher's own velocity where no style is named, so that guidance keeps
its origin. No picture is decoded and no classifier looks: a step takes a fraction of one of
`lgt train`. Guidance colours what should stay black and white, so styles can be spared (`--spare
engraving,durer`): they keep the path without it. A run that was stopped goes on by the
same command.

References:
    Meng et al., On Distillation of Guided Diffusion Models, 2023, https://arxiv.org/abs/2210.03142
    (guidance into the weights); Salimans and Ho, Progressive Distillation for Fast Sampling of
    Diffusion Models, 2022, https://arxiv.org/abs/2202.00512 (several steps into one).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor

from lgt.build import build_network
from lgt.data.dataset import LatentDataset, random_windows
from lgt.dynamics import Velocity
from lgt.dynamics.interpolant import expand_time
from lgt.files import refuse_unwritable
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.model.styles import find_style
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.paint.sampler import Sampler
from lgt.paint.sampling import sample, sampling_of
from lgt.seeds import derived
from lgt.train.teaching import Teaching, as_checkpoint
from teaching import leave, lessons_of, run, tell

ON_PATH, WITHOUT_STYLE = 0.3, 0.3
"""Weights of what starts on the path and of what has no style, beside what starts at the photo."""
UNKNOWN = 0.7
"""Share of photos whose own style is not named, as in `lgt transfer`."""
WARMUP, DECAY = 15, 0.97


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint, or `embedded`")
    parser.add_argument("latents", type=Path, help="what `lgt preprocess` wrote, photos among it")
    parser.add_argument("out", type=Path, help="checkpoint to write (.pt)")
    parser.add_argument("--scale", type=float, default=1.5, help="guidance scale [1.5]")
    parser.add_argument("--spare", default="", help="styles without guidance, by commas")
    parser.add_argument("--path_steps", type=int, default=4, help="steps of the teacher [4]")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="photos a step [8]")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def guided_path(
    teacher: LGTUNet, sampler: Sampler, x: Tensor, target: Tensor, source: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the states `[N, B, C, h, w]` before each step, their times `[N, B]`, and the end."""
    states, times = [], []
    settings = sampling_of(sampler)
    follow = settings.pop("step")

    def step(velocity: Velocity, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        states.append(x)
        times.append(t)
        following: Tensor = follow(velocity, x, t, t_next)
        return following

    end = sample(teacher, x, target, source, step=step, **settings)
    return torch.stack(states), torch.stack(times), end


def loss_of(
    student: LGTUNet,
    teacher: LGTUNet,
    sampler: Sampler,
    x: Tensor,
    own: Tensor,
    spared: Tensor,
    generator: Generator,
) -> Tensor:
    """Return the squared errors of the student's velocities for photos of the styles `own`.

    The styles `spared` follow the teacher's path without guidance.
    """
    count = len(x)
    target = torch.randint(student.num_styles, (count,), generator=generator)
    is_unknown = torch.rand(count, generator=generator) < UNKNOWN
    source = torch.where(is_unknown, NULL_STYLE, own)
    states, times, end = guided_path(teacher, sampler, x, target, source)
    plain = torch.isin(target, spared)
    if plain.any():
        unguided = sampler.changed(use_cfg=False)
        states[:, plain], _, end[plain] = guided_path(
            teacher, unguided, x[plain], target[plain], source[plain]
        )
    steps, rows = len(states), torch.arange(count)
    at = torch.randint(min(1, steps - 1), steps, (count,), generator=generator)
    sources = x if student.condition_on_source else None
    condition = student.condition(target, source, sources)

    def error(begun: Tensor, t: Tensor) -> Tensor:
        wanted = (end - begun) / (1 - expand_time(t, begun))
        return (student.velocity(begun, t, condition) - wanted).square().mean()

    # Without a style the student stays what it was, and needs few for that.
    few = slice(max(1, count // 4))
    none = torch.full_like(target, NULL_STYLE)[few]
    given = none, source[few], None if sources is None else sources[few]
    begun, t = states[0, few], times[0, few]
    free = student.velocity(begun, t, student.condition(*given))
    with torch.no_grad():
        kept = teacher.velocity(begun, t, teacher.condition(*given))
    return (
        error(states[0], times[0])
        + ON_PATH * error(states[at, rows], times[at, rows])
        + WITHOUT_STYLE * (free - kept).square().mean()
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(teach, parse, arguments)


def teach(words: argparse.Namespace) -> None:
    """Teach, and write the checkpoint.

    Raises:
        LGTError: A file can not be read or written, or there is no such style.
    """
    refuse_unwritable(words.out.parent)
    checkpoint = Checkpoint.load(find_model(words.model))
    config = checkpoint.config
    sampler = Sampler.of(config).changed(
        num_steps=words.path_steps, use_cfg=True, cfg_scale=words.scale, temperature_lambda=0.0
    )
    styles = config.data.style_subdirs
    sources = config.data.source_subdirs or styles
    spared = torch.tensor(
        [find_style(name, styles) for name in words.spare.split(",") if name], dtype=torch.long
    )
    photos = LatentDataset.from_config(words.latents, sources, config.model.latent_channels)
    own = torch.tensor([styles.index(name) for name in sources])[photos.style_ids]
    student = build_network(config)
    student.load_state_dict(checkpoint.inference_weights)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    lessons = lessons_of(words, warmup=WARMUP, decay=DECAY)
    report = partial(tell, steps=words.steps)
    write = as_checkpoint(checkpoint, words.out)
    teaching = Teaching(student, lessons, write, report=report)
    for step in teaching:
        generator = derived(words.seed, step)
        chosen = torch.randint(len(photos.latents), (words.batch,), generator=generator)
        x, _ = random_windows(photos.latents[chosen], config.training.window, generator)
        if float(torch.rand((), generator=generator)) < 0.5:
            x = x.flip(-1)
        loss = loss_of(student, teacher, sampler, x, own[chosen], spared, generator)
        loss.backward()
        teaching.told = f"loss {loss:.4f}"
    leave(words, teaching.is_done)


if __name__ == "__main__":
    main()
