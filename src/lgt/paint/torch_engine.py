"""The engine on torch: any model, any codec, any sampler, on CPU or GPU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lgt.codec import CodecSpec, LatentCodec, decode_latent, encode_image
from lgt.codec.tiles import TiledCodec
from lgt.config import config_to_dict
from lgt.dynamics import SOLVERS
from lgt.errors import InputError
from lgt.model.style_book import StyleBook
from lgt.nn import NULL_STYLE
from lgt.nn.tiles import tiled_velocity
from lgt.paint.controls import Progress
from lgt.paint.engine import LEAST_CANVAS, Facts, Pixels, Transport
from lgt.paint.provenance import CodecRecord, FileRecord
from lgt.paint.sampler import Sampler, Training
from lgt.paint.sampling import Field, sample, sampling_of
from lgt.seeds import seeded

if TYPE_CHECKING:
    from lgt.paint.refine import Refiner
    from lgt.paint.transfer import LGTInference

AUTO_TILE = 1024
"""Side in pixels of the tiles in which larger pictures are encoded and decoded."""

AUTO_POSITIONS = 512
"""Side of the network's tiles, in latent positions, for 48 base channels."""

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
        keys = (("inference", "detail"), ("inference", "color"), ("data", "source_subdirs"))
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
    def color(self) -> float:
        """Share of the photo's broad colours that the model's configuration gives back."""
        return self.lgt.config.inference.color

    @property
    def canvas(self) -> int:
        """Short side in pixels at which larger pictures are painted, unless asked otherwise."""
        return max(LEAST_CANVAS, self.lgt.trained_side * self.multiple)

    @property
    def keeps_works(self) -> bool:
        """Whether the model has kept how its works look."""
        return self.lgt.works is not None

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this, in pixels."""
        return self.codec.spec.downscale

    @property
    def batch_pixels(self) -> int:
        """Pixels of the frames that are best painted at once."""
        return 2**18 if self.lgt.device.type == "cpu" else 2**21

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
        return move_latents(self.lgt, x_src, transport, tile=positions, progress=progress)

    @property
    def refine(self) -> Refiner:
        """What takes end states further down the energy of the training; loads when first used."""
        return self.lgt.refiner

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


@torch.no_grad()
def move_latents(
    lgt: LGTInference,
    x_source: Tensor,
    transport: Transport,
    *,
    styles: Sequence[Mapping[int, float]] | None = None,
    tile: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Return `x_1`, the scaled latents at the end of the path from `x_source`, float32.

    Args:
        lgt: The model.
        x_source: `[B, C, h, w]`.
        transport: Where to, and how.
        styles: A style for each, in the place of the transport's.
        tile: Side of the network's tiles in latent positions; 0: never cut; None: chosen.
        progress: Is told the fraction done.

    Raises:
        InputError: The latents do not fit the model.
    """
    _check_latents(x_source, lgt.config.model.latent_channels)
    batch, sampler, source = len(x_source), transport.sampler, transport.source
    own = lgt.own_style(source) if transport.repulsion else None

    def each(style_id: int) -> Tensor:
        return torch.full((batch,), style_id, device=lgt.device)

    evaluations = sampler.num_steps * SOLVERS[sampler.solver].evaluations
    targets = [transport.style] * batch if styles is None else styles
    with torch.autocast(lgt.device.type, dtype=torch.bfloat16, enabled=lgt.dtype != torch.float32):
        x_1 = sample(
            lgt.network,
            x_source.to(lgt.device, torch.float32).contiguous(memory_format=torch.channels_last),
            torch.stack([lgt.network.blend(weights) for weights in targets]),
            each(NULL_STYLE if source is None else source),
            **sampling_of(sampler),
            repulsion=transport.repulsion,
            repelled_style_id=None if own is None else each(own),
            field=_field(lgt, evaluations * (1 if own is None else 2), tile, progress),
            generator=seeded(transport.seed),
            is_noise_shared=transport.is_noise_shared,
        )
    return x_1.float()


def _field(lgt: LGTInference, total: int, tile: int | None, progress: Progress | None) -> Field:
    """Return the network's velocity, in tiles where needed, that reports how far it is."""
    if tile is None:
        # Activations grow with the width; these tiles need about 1 GB.
        tile = int(AUTO_POSITIONS * math.sqrt(48 / lgt.config.model.base_channels))
    evaluations = 0

    def report(fraction: float) -> None:
        nonlocal evaluations
        if progress is not None:
            progress(min(1.0, (evaluations + fraction) / total))
        evaluations += fraction == 1

    return tiled_velocity(lgt.network, tile=tile or 2**30, progress=report)


def _check_latents(x: Tensor, channels: int) -> None:
    if x.ndim != 4 or x.shape[1] != channels:
        raise InputError(
            f"x_source must have shape [B, {channels}, h, w], as this model was trained on "
            f"latents of {channels} channels; got {list(x.shape)}"
        )
    if not bool(torch.isfinite(x).all()):
        raise InputError("x_source holds values that are not finite; check the image or codec")


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
