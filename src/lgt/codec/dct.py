"""A codec without weights: the block discrete cosine transform."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lgt.codec.spec import CodecSourceError, CodecSpec, check_images, check_latents

BLOCK = 8
"""Side of a block, in pixels."""

MAX_CHANNELS = 3 * BLOCK * BLOCK
"""Channels at which nothing is lost."""


def dct_basis() -> Tensor:
    """Return the orthonormal DCT-II matrix `D[k, n] = c_k cos(pi (2n + 1) k / 16)`, float64."""
    k = torch.arange(BLOCK, dtype=torch.float64)[:, None]
    n = torch.arange(BLOCK, dtype=torch.float64)[None, :]
    basis = torch.cos(math.pi * (2 * n + 1) * k / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis


def opponent_colors() -> Tensor:
    """Return the orthonormal rows luma, red - blue and (red + blue) / 2 - green, float64."""
    rows = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    return rows / rows.square().sum(dim=1, keepdim=True).sqrt()


def coefficient_order() -> list[tuple[int, int, int]]:
    """Return all (colour, vertical, horizontal frequency), in the order channels take them.

    Ascending by spatial frequency; chroma counts at twice its frequency, as eyes and image
    formats do. Ties: luma first, then the horizontal detail. The first four channels are the three
    colour means and the horizontal luma gradient.
    """
    indices = [(c, u, v) for c in range(3) for u in range(BLOCK) for v in range(BLOCK)]
    return sorted(indices, key=lambda i: ((i[1] ** 2 + i[2] ** 2) * (1 if i[0] == 0 else 4), i))


class DCTCodec:
    """Keep the lowest frequencies of each 8 x 8 block over three opponent colours.

    `raw = B p` with p the 192 values `2 x - 1` of a block and B the first `latent_channels` rows of
    an orthonormal basis; decoding is `B^T raw`. With 192 channels nothing is lost. The scaling
    factor 1/8 brings the luma mean to about unit variance.

    Args:
        latent_channels: 1 to 192.
    """

    spec: CodecSpec

    def __init__(self, latent_channels: int = 4) -> None:
        if not 1 <= latent_channels <= MAX_CHANNELS:
            raise CodecSourceError(
                f"codec dct: the number of channels must be 1 to {MAX_CHANNELS} "
                f"(got {latent_channels})"
            )
        basis, colors = dct_basis(), opponent_colors()
        rows = [
            torch.einsum("c,h,w->chw", colors[c], basis[u], basis[v])
            for c, u, v in coefficient_order()[:latent_channels]
        ]
        self._basis = torch.stack(rows).float()
        name = f"dct:{latent_channels}"
        digest = hashlib.sha256(f"lgt block DCT 1, {name}".encode()).hexdigest()[:16]
        self.spec = CodecSpec(name, name, latent_channels, BLOCK, 1 / 8, 0.0, digest)

    def encode(self, images: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` in [0, 1] to raw latents `[B, C, H/8, W/8]`, float32."""
        check_images(images, self.spec)
        centred = images.to(self._basis.device, torch.float32) * 2 - 1
        return F.conv2d(centred, self._basis, stride=BLOCK)

    def decode(self, raw_latents: Tensor) -> Tensor:
        """Map raw latents to images `[B, 3, H, W]` in [0, 1], float32."""
        check_latents(raw_latents, self.spec)
        raw = raw_latents.to(self._basis.device, torch.float32)
        return (F.conv_transpose2d(raw, self._basis, stride=BLOCK) + 1).div(2).clamp(0, 1)

    def to(
        self,
        device: torch.device | str,
        dtype: torch.dtype | None = None,
    ) -> DCTCodec:
        """Move to a device; the arithmetic stays float32 whatever the dtype."""
        self._basis = self._basis.to(device)
        return self
