"""Pictures to latents, here or in other processes: what both ways of preprocessing do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from lgt.cluster import Spread, Stages, through
from lgt.codec import LatentCodec, load_codec
from lgt.data.pictures import Decoded, Decoder
from lgt.data.sources import Source, Variant
from lgt.data.store import LatentEntry, save_latent
from lgt.errors import CodecError, InputError
from lgt.stores import anywhere

NOT_FINITE = "the codec gave nan or inf; try --precision fp32"


@dataclass
class Made:
    """What became of one source."""

    source: Source
    entries: dict[str, LatentEntry] = field(default_factory=dict)
    """What was written, by its path in the output folder."""
    matching: list[str] = field(default_factory=list)
    """Outputs that were there and match."""
    problem: str | None = None
    latents: dict[str, Tensor] = field(default_factory=dict)
    """What is still to be written, into shards."""


def encode_pictures(codec: LatentCodec, pictures: Sequence[Tensor]) -> Tensor:
    """Return the raw latents of pictures `[1, 3, S, S]`, on the CPU.

    Raises:
        CodecError: The memory does not suffice.
    """
    try:
        return codec.encode(torch.cat(list(pictures))).cpu()
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise CodecError(
            f"out of memory while encoding {len(pictures)} pictures; lower --batch_size, or use "
            "--precision bf16"
        ) from error


@dataclass(frozen=True)
class Encoding:
    """How the pictures of a run become latents in a folder, in any process."""

    root: Path
    target_size: int
    codec: str
    """What `load_codec` takes."""
    device: str
    dtype: torch.dtype
    batch_size: int
    is_sharded: bool = False
    """Whether latents come back, to be written into shards."""

    def on_ray(
        self, sources: Sequence[Source], entries: dict[str, LatentEntry], spread: Spread
    ) -> Iterator[Made]:
        """Decode, encode and write sources; yield each when it is done.

        Args:
            sources: What to encode.
            entries: The manifest's, by output path.
            spread: Where.
        """
        there = replace(self, root=self.root.absolute())
        rows = []
        for number, source in enumerate(sources):
            own = {v.output: entries[v.output] for v in source.variants if v.output in entries}
            rows.append((number, replace(source, path=anywhere(source.path)), own))
        stages = Stages(there._decode, there._loaded, there._write)
        for number, made in through(rows, stages, spread, block=self.batch_size):
            made.source = sources[number]
            yield made

    def _decode(self, row: tuple[int, Source, dict[str, LatentEntry]]) -> tuple[int, Decoded]:
        number, source, own = row
        decoder = Decoder(self.root, own, self.target_size, is_sharded=self.is_sharded)
        return number, decoder.decode(source)

    def _loaded(self) -> Callable[[list[tuple[int, Decoded]]], Iterator[tuple[int, Decoded]]]:
        codec = load_codec(self.codec, device=torch.device(self.device), dtype=self.dtype)
        return lambda rows: self._encode(codec, rows)

    def _encode(
        self, codec: LatentCodec, rows: list[tuple[int, Decoded]]
    ) -> Iterator[tuple[int, Decoded]]:
        """Put latents in the place of pictures."""
        waiting = [picture for _, item in rows for _, picture in item.pictures]
        parts = [
            encode_pictures(codec, waiting[start : start + self.batch_size])
            for start in range(0, len(waiting), self.batch_size)
        ]
        latents = iter(torch.cat(parts) if parts else ())
        for number, item in rows:
            item.pictures = [(variant, next(latents).clone()) for variant, _ in item.pictures]
            if not all(bool(torch.isfinite(latent).all()) for _, latent in item.pictures):
                item.problem, item.pictures = NOT_FINITE, []
            yield number, item

    def _write(self, row: tuple[int, Decoded]) -> tuple[int, Made]:
        number, item = row
        made = Made(item.source, matching=item.matching, problem=item.problem)
        for variant, latent in item.pictures:
            if self.is_sharded:
                made.latents[variant.output] = latent
                made.entries[variant.output] = entry_of(item, variant)
            else:
                made.entries[variant.output] = write_latent(self.root, item, variant, latent)
        return number, made


def write_latent(root: Path, item: Decoded, variant: Variant, latent: Tensor) -> LatentEntry:
    """Write a latent of a source; return what the manifest says of it.

    Raises:
        InputError: The folder can not be written to.
    """
    with writing(root):
        num_bytes = save_latent(latent, root / variant.output)
    return entry_of(item, variant, num_bytes)


def entry_of(item: Decoded, variant: Variant, num_bytes: int = 0) -> LatentEntry:
    """Return what is kept of where a latent comes from."""
    return LatentEntry(item.source.name, item.sha256, variant.crop, variant.hflip, num_bytes)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Say in one sentence that the output folder can not be written to.

    Raises:
        InputError: In place of the `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"output_root: can not write to {root} ({error})") from error
