"""The teacher's latents and decodings of the latest crops, kept for several uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from distillation.crops import move_latents, plain_crop, random_crop, uniform

FLAT_SHARE = 0.08
"""Share of crops that are plain colours and gradients, against a shift of colour."""


@dataclass
class Pool:
    """Latents, pictures and the teacher's decoding of the latest crops."""

    capacity: int
    items: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    position: int = 0

    def add(self, latent: Tensor, picture: Tensor, decoded: Tensor) -> None:
        """Store one crop; the oldest gives way when the pool is full."""
        item = (latent, to_bytes(picture), to_bytes(decoded))
        if len(self.items) < self.capacity:
            self.items.append(item)
        else:
            self.items[self.position] = item
            self.position = (self.position + 1) % self.capacity

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw latents `[N, C, h, w]`, pictures and decodings `[N, 3, H, W]` in [0, 1]."""
        chosen = torch.randint(len(self.items), (count,), generator=generator).tolist()
        latent, picture, decoded = zip(*(self.items[i] for i in chosen), strict=True)
        wanted = torch.channels_last
        return (
            torch.stack(latent),
            (torch.stack(picture).float() / 255).contiguous(memory_format=wanted),
            (torch.stack(decoded).float() / 255).contiguous(memory_format=wanted),
        )


def to_bytes(picture: Tensor) -> Tensor:
    """Return values in [0, 1] as uint8."""
    return (picture.clamp(0, 1) * 255).round().byte()


class Teacher:
    """Fills the pools: one with pictures' latents, one with latents that no picture has."""

    def __init__(self, codec: Any, pictures: list[Tensor], side: int, capacity: int) -> None:
        self.codec, self.pictures, self.side = codec, pictures, side
        self.seen, self.moved = Pool(capacity), Pool(max(capacity // 3, 1))

    @torch.no_grad()
    def add_seen(self, count: int, generator: Generator) -> None:
        """Add crops of pictures."""
        are_plain = [float(uniform(0, 1, generator)) < FLAT_SHARE for _ in range(count)]
        crops = [
            plain_crop(self.side, generator)
            if is_plain
            else random_crop(self.pictures, self.side, generator)
            for is_plain in are_plain
        ]
        latents = self.codec.encode(torch.stack(crops))
        decoded = self.codec.decode(latents)
        for latent, crop, output, is_plain in zip(latents, crops, decoded, are_plain, strict=True):
            # The teacher shifts plain colours; there the picture itself is what to decode.
            self.seen.add(latent, crop, crop if is_plain else output)

    @torch.no_grad()
    def add_moved(self, count: int, generator: Generator) -> None:
        """Add latents that no picture has; their picture is the teacher's decoding."""
        a, b = (self.seen.draw(count, generator)[0] for _ in range(2))
        pairs = zip(a, b, strict=True)
        latents = torch.stack([move_latents(x, y, generator) for x, y in pairs])
        decoded = self.codec.decode(latents)
        for item in zip(latents, decoded, decoded, strict=True):
            self.moved.add(*item)
