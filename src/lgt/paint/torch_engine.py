"""The engine on torch: any model, any codec, any sampler, on CPU or GPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lgt.codec import CodecSpec, LatentCodec, decode_latent, encode_image
from lgt.codec.tiles import TiledCodec
from lgt.config import config_to_dict
from lgt.model.style_book import StyleBook
from lgt.paint.controls import Progress
from lgt.paint.engine import Facts, Pixels, Transport
from lgt.paint.provenance import CodecRecord, FileRecord
from lgt.paint.sampler import Sampler, Training

if TYPE_CHECKING:
    from lgt.paint.transfer import LGTInference

AUTO_TILE = 1024
"""Side in pixels of the tiles in which larger pictures are encoded and decoded."""

MIN_POSITIONS = 64
"""Smallest side of the network's tiles, in latent positions: they overlap by half of it."""


class TorchEngine:
    """A loaded model and a codec of its latents.

    Args:
        lgt: The model.
        codec: From `lgt.load_codec`.

    Raises:
        InputError: The codec is of other latents than the model's.
    """

    def __init__(self, lgt: LGTInference, codec: LatentCodec) -> None:
        lgt.check_codec(codec)
        self.lgt, self.codec = lgt, codec

    @property
    def styles(self) -> StyleBook:
        """The model's styles."""
        return self.lgt

    @cached_property
    def facts(self) -> Facts:
        """What it is."""
        lgt = self.lgt
        now, then = config_to_dict(lgt.config), config_to_dict(lgt.trained_config)
        keys = (("inference", "detail"), ("data", "source_subdirs"))
        return Facts(
            model=FileRecord(name=lgt.model_name, sha256=lgt.fingerprint),
            codec=codec_record(self.codec.spec),
            device=lgt.device.type,
            precision="fp32" if lgt.dtype == torch.float32 else "bf16",
            trained=Sampler.of(lgt.trained_config),
            changes={f"{a}.{b}": now[a][b] for a, b in keys if now[a][b] != then[a][b]},
        )

    @property
    def sampler(self) -> Sampler:
        """The model's sampler, as it was loaded."""
        return self.lgt.sampler

    @property
    def training(self) -> Training:
        """What of the training decides how the model may be sampled."""
        return Training.of(self.lgt.trained_config)

    @property
    def detail(self) -> float:
        """Share of the lost detail that the model's configuration gives back."""
        return self.lgt.config.inference.detail

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this, in pixels."""
        return self.codec.spec.downscale

    @property
    def batch_pixels(self) -> int:
        """Pixels of the frames that are best painted at once."""
        return 2**18 if self.lgt.device.type == "cpu" else 2**21

    def refusals(self, sampler: Sampler) -> list[str]:
        """Return what of a sampler this engine does not do: nothing."""
        return []

    @torch.no_grad()
    def encode(self, pictures: Pixels, tile: int | None, progress: Progress) -> Tensor:
        """Return the scaled latents of pictures, on the model's device."""
        codec = TiledCodec(self.codec, _side(tile), progress)
        return encode_image(codec, torch.from_numpy(pictures), self.lgt.device)

    def move(
        self, x_src: Tensor, transport: Transport, tile: int | None, progress: Progress
    ) -> Tensor:
        """Return `x_1`, the latents at the end of the path from `x_src`."""
        positions = tile and max(MIN_POSITIONS, tile // self.multiple)
        return self.lgt.transport(x_src, transport, tile=positions, progress=progress)

    @torch.no_grad()
    def decode(self, latents: Tensor, tile: int | None, progress: Progress) -> Pixels:
        """Return the pictures of scaled latents."""
        codec = TiledCodec(self.codec, _side(tile), progress)
        pictures: Pixels = decode_latent(codec, latents).numpy()
        return pictures

    def at_once(
        self, pictures: Pixels, transport: Transport, strength: float, residual: float
    ) -> None:
        """Return None: there is no graph of the whole."""
        return None


def codec_record(spec: CodecSpec) -> CodecRecord:
    """Return what provenance keeps of a codec; a folder of this machine stays private."""
    path = Path(spec.source.removeprefix("taesd:").partition("#")[0]).expanduser()
    is_folder = path.is_absolute() or path.exists() or spec.source.startswith(".")
    return CodecRecord(
        name=path.name if is_folder else spec.name,
        fingerprint=spec.fingerprint,
        source=None if is_folder else spec.source,
    )


def _side(tile: int | None) -> int:
    """Return the side in pixels of the codec's tiles; huge where nothing is to be cut."""
    return (AUTO_TILE if tile is None else tile) or 2**30
