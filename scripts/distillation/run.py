"""A run that teaches one half of a codec: its state, its files, its learning rate."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from lgt.codec.tiny import TinyAutoencoder
from lgt.files import atomic_write

EMA_DECAY = 0.995


class Run:
    """What a checkpoint holds: half of a codec, its moving average, the optimiser and the count.

    Args:
        model: The codec.
        name: `encoder` or `decoder`.
        folder: Holds `checkpoint.pt` and the result.
        lr: Peak learning rate.
        seed: Of the crops.
    """

    def __init__(
        self, model: TinyAutoencoder, name: str, folder: Path, lr: float, seed: int
    ) -> None:
        self.model, self.name, self.folder, self.step = model, name, folder, 0
        self.half: nn.Module = getattr(model, name)
        self.average = {name: value.clone() for name, value in self.half.state_dict().items()}
        self.optimizer = torch.optim.Adam(self.half.parameters(), lr=lr, betas=(0.9, 0.99))
        self.generator = Generator().manual_seed(seed)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.is_file():
            state = torch.load(path, weights_only=True)
            self.half.load_state_dict(state[self.name])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.average, self.step = state["average"], state["step"]
            print(f"going on after step {self.step}", flush=True)

    def save(self) -> None:
        """Write the checkpoint and the result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            self.name: self.half.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
        }
        with atomic_write(self.folder / "checkpoint.pt") as temporary:
            torch.save(content, temporary)
        result = TinyAutoencoder(**self.model.config)
        result.load_state_dict(self.model.state_dict())
        getattr(result, self.name).load_state_dict(self.average)
        result.half().save_pretrained(self.folder / "codec")

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one step down the loss and let the average follow."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.half.parameters(), 1.0)
        self.optimizer.step()
        share = 1 - min(EMA_DECAY, self.step / (self.step + 9))
        for name, value in self.half.state_dict().items():
            self.average[name].lerp_(value, share)
        self.step += 1


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return a short linear rise, then half a cosine to 2 % of the peak."""
    fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
    return peak * min(1.0, (step + 1) / 50) * fall
