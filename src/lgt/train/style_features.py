"""Training of the style features, before the model's own training starts."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lgt.energy import StyleBank
from lgt.nn import StyleFeatures
from lgt.train.schedule import step_generator

WORKS_PER_STYLE = 8
PEAK_LEARNING_RATE = 2e-3
WARMUP_STEPS = 50
LARGEST_NOISE = 0.15
"""In latent units; keeps features from resting on detail that an image codec does not carry."""


def train_style_features(bank: StyleBank, num_steps: int, *, seed: int = 0) -> StyleFeatures:
    """Train a patch classifier of the bank's styles, and freeze it.

    Args:
        bank: Works of all styles.
        num_steps: Optimiser steps of eight works a style.
        seed: Of weights and batches.

    Returns:
        The features, without gradient, on the bank's device.
    """
    device = bank.latents.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = StyleFeatures(bank.latents.shape[1], bank.num_styles)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2, fused=True)
        for step in range(num_steps):
            generator = step_generator(seed, step)
            drawn = [
                bank.works(style, WORKS_PER_STYLE, generator) for style in range(bank.num_styles)
            ]
            x = torch.cat(drawn)
            labels = torch.cat([torch.full((len(w),), i) for i, w in enumerate(drawn)]).to(device)
            if step % 2:
                x = x.flip(-1)
            strength = LARGEST_NOISE * torch.rand(len(x), 1, 1, 1, generator=generator)
            x = x + (strength * torch.randn(x.shape, generator=generator)).to(x)
            rate = PEAK_LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * (1 - step / num_steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = network(x).float()
            targets = labels[:, None, None].expand(-1, *logits.shape[2:])
            loss = F.cross_entropy(logits, targets, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval().requires_grad_(False)
