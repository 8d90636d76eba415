"""Teach a model to reach in one step what it reaches in several with guidance.

    python scripts/distill_guidance.py embedded data/latents guided.pt

The teacher is the model itself. From windows of photos it follows the guided path; the student,
which starts from the same weights, learns the straight way to that path's end from its start and
from a point on it, and the teacher's own velocity where no style is named, so that guidance keeps
its origin. No picture is decoded and no classifier looks: a step takes a fraction of one of
`lgt train`.

References:
    Meng et al., On Distillation of Guided Diffusion Models, 2023, https://arxiv.org/abs/2210.03142
    (guidance into the weights); Salimans and Ho, Progressive Distillation for Fast Sampling of
    Diffusion Models, 2022, https://arxiv.org/abs/2202.00512 (several steps into one).
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from lgt.build import build_network
from lgt.data.dataset import LatentDataset, random_windows
from lgt.dynamics import decaying_guidance, guided
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, Condition, LGTUNet
from lgt.seeds import derived
from lgt.train.average import WeightAverage
from lgt.train.optimizer import Muon
from lgt.train.schedule import learning_rate_at

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
    parser.add_argument("--rescale", type=float, default=1.0, help="inference.cfg_rescale [1]")
    parser.add_argument("--path_steps", type=int, default=4, help="steps of the teacher [4]")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="photos a step [8]")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def conditioned(network: LGTUNet, target: Tensor, source: Tensor, x_src: Tensor) -> Condition:
    """Return the condition of a batch, in as many copies of the sources as there are targets."""
    copies = len(target) // len(x_src)
    sources = torch.cat([x_src] * copies) if network.condition_on_source else None
    return network.condition(target, torch.cat([source] * copies), sources)


@torch.no_grad()
def guided_path(
    teacher: LGTUNet, x: Tensor, target: Tensor, source: Tensor, words: argparse.Namespace
) -> list[Tensor]:
    """Return the states `[B, C, h, w]` of the guided path, its start and end among them."""
    both = torch.cat([target, torch.full_like(target, NULL_STYLE)])
    condition = conditioned(teacher, both, source, x)
    velocity = guided(
        lambda x, t: teacher.velocity(x, t, condition),
        decaying_guidance(words.scale),
        rescale=words.rescale,
    )
    states, steps = [x], words.path_steps
    for i in range(steps):
        states.append(states[-1] + velocity(states[-1], torch.full((len(x),), i / steps)) / steps)
    return states


def loss_of(
    student: LGTUNet,
    teacher: LGTUNet,
    x: Tensor,
    own: Tensor,
    words: argparse.Namespace,
    generator: Generator,
) -> Tensor:
    """Return the squared errors of the student's velocities for photos of the styles `own`."""
    count, steps = len(x), words.path_steps
    target = torch.randint(student.num_styles, (count,), generator=generator)
    is_unknown = torch.rand(count, generator=generator) < UNKNOWN
    source = torch.where(is_unknown, NULL_STYLE, own)
    states = guided_path(teacher, x, target, source, words)
    at = torch.randint(1, max(2, steps), (count,), generator=generator).clamp(max=steps - 1)
    on_path = torch.stack([states[int(k)][row] for row, k in enumerate(at)])
    t = torch.cat([torch.zeros(count), at / steps])
    begun = torch.cat([x, on_path])
    wanted = (torch.cat([states[-1]] * 2) - begun) / (1 - t[:, None, None, None])
    condition = conditioned(student, torch.cat([target] * 2), source, x)
    errors = (student.velocity(begun, t, condition) - wanted).square().flatten(1).mean(1)
    few = max(1, count // 4)
    some, zero, none = x[:few], torch.zeros(few), torch.full((few,), NULL_STYLE)
    with torch.no_grad():
        kept = teacher.velocity(some, zero, conditioned(teacher, none, source[:few], some))
    found = student.velocity(some, zero, conditioned(student, none, source[:few], some))
    plain = (found - kept).square().mean()
    return errors[:count].mean() + ON_PATH * errors[count:].mean() + WITHOUT_STYLE * plain


def main(arguments: Sequence[str] | None = None) -> None:
    """Teach, and write the checkpoint."""
    words = parse(arguments)
    checkpoint = Checkpoint.load(find_model(words.model))
    config = checkpoint.config
    styles = config.data.style_subdirs
    sources = config.data.source_subdirs or styles
    photos = LatentDataset.from_config(words.latents, sources, config.model.latent_channels)
    own = torch.tensor([styles.index(name) for name in sources])[photos.style_ids]
    student = build_network(config)
    student.load_state_dict(checkpoint.inference_weights)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    optimizer, average = Muon(student, words.lr), WeightAverage(student, DECAY)
    began = time.monotonic()
    for step in range(words.steps):
        generator = derived(words.seed, step)
        rate = learning_rate_at(
            step, peak=words.lr, total_steps=words.steps, warmup_steps=min(WARMUP, words.steps // 4)
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = torch.randint(len(photos.latents), (words.batch,), generator=generator)
        x, _ = random_windows(photos.latents[chosen], config.training.window, generator)
        if float(torch.rand((), generator=generator)) < 0.5:
            x = x.flip(-1)
        loss = loss_of(student, teacher, x, own[chosen], words, generator)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.update(student, step + 1)
        each = (time.monotonic() - began) / (step + 1)
        sys.stdout.write(f"step {step + 1}/{words.steps}: loss {loss:.4f}, {each:.2f} s/step\n")
        sys.stdout.flush()
    replace(checkpoint, network=student.state_dict(), ema=average.state_dict()).save(words.out)
    sys.stdout.write(f"{words.out}\n")


if __name__ == "__main__":
    main()
