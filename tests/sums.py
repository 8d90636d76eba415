"""Distances of collections and critics on 16 outputs a step, judged by one process or by more."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from lgt.energy import CollectionDistance, CriticDistance

STEPS = 6
BATCH, STYLES = 16, 2
ALONE = 3
"""Step in which outputs of the second half alone are judged."""


def maps_of(count: int, generator: Generator, shift: float) -> list[Tensor]:
    """Return maps of two branches with two layers each; the first of each is stacked."""
    shapes = ((8, 4), (3, 4)) * 2
    return [torch.randn(count, c, s, s, generator=generator) + shift for c, s in shapes]


def works(labels: Tensor, generator: Generator) -> list[Tensor]:
    rows = [maps_of(1, generator, 0.3 * float(label)) for label in labels]
    return [torch.cat(layer) for layer in zip(*rows, strict=True)]


def run(rank: int, world: int) -> dict[str, Any]:
    """Return what is remembered after some steps, and each step's gradients by the maps."""
    generator = Generator().manual_seed(5)
    labels = torch.arange(STYLES).repeat(12)
    clips = [(works(labels, generator), labels)]
    collection = CollectionDistance(clips, num_styles=STYLES, origin=0, memory=16)
    critic = CriticDistance(works, num_styles=STYLES, num_works=BATCH)
    size, gradients = BATCH // world, []
    for step in range(STEPS):
        generator = Generator().manual_seed(100 + step)
        targets = torch.randint(STYLES, (BATCH,), generator=generator)
        maps = maps_of(BATCH, generator, 0.1)
        is_styled = torch.rand(BATCH, generator=generator) < 0.8
        if step == ALONE:
            is_styled[: BATCH // 2] = False
        mine = torch.arange(rank * size, (rank + 1) * size)
        mine = mine[is_styled[mine]]
        own = [m[mine].requires_grad_() for m in maps] if len(mine) else None
        terms = collection(own, targets[mine]) if own or world > 1 else None
        learned = critic(own, targets[mine])
        flat = torch.zeros(size, sum(m[0].numel() for m in maps))
        if own is not None and terms is not None:
            share = len(mine) / size
            (share * (sum(terms) + learned)).backward()
            found = [m.grad.flatten(1) for m in own if m.grad is not None]
            flat[mine - rank * size] = torch.cat(found, 1)
        gradients.append(flat)
    heads = critic.heads.state_dict()
    return {
        "collection": collection.state_dict(),
        "heads": heads,
        "age": critic.age,
        "gradients": gradients,
    }
