"""Folders of images to folders of latents.

Threads read and decode the next images while the codec encodes the current batch. Every file is
written in one step and the manifest is saved every few seconds, so that a run that is killed at any
moment loses at most those seconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lgt.cluster import Spread
from lgt.codec import LatentCodec, load_codec
from lgt.data.encode import (
    NOT_FINITE,
    Encoding,
    Made,
    encode_pictures,
    entry_of,
    write_latent,
    writing,
)
from lgt.data.pictures import Decoded, Decoder
from lgt.data.shards import ShardFolder
from lgt.data.sources import (
    Source,
    Variant,
    check_roots,
    count_loose_images,
    find_left_out,
    find_styles,
    plan,
)
from lgt.data.store import LatentEntry, Manifest, open_manifest
from lgt.device import resolve_device, resolve_dtype
from lgt.errors import InputError
from lgt.files import remove_stale_temporaries
from lgt.image import LeftOut
from lgt.lock import sole_writer

_SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a run is, counted in source images."""

    done: int
    total: int
    skipped: int
    failed: int


@dataclass
class PreprocessReport:
    """What a run did."""

    written: list[str] = field(default_factory=list)
    """Latent files written, relative to the output folder."""
    skipped: list[str] = field(default_factory=list)
    """Latent files that were there already and match."""
    failed: list[tuple[Path, str]] = field(default_factory=list)
    """Images that could not be used, and why."""
    removed: list[str] = field(default_factory=list)
    """Latent files deleted because their image or their crop is gone."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Pictures by their content that are not taken, links to none among them, and why."""


def preprocess_folder(
    raw_data_root: Path | str,
    output_root: Path | str,
    *,
    target_size: int = 256,
    codec: str | LatentCodec = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    batch_size: int = 8,
    num_crops: int = 1,
    hflip: bool = False,
    overwrite: bool = False,
    num_workers: int = 2,
    spread: Spread | None = None,
    is_sharded: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> PreprocessReport:
    """Encode every image of every style folder to a raw latent.

    Images are scaled by the short side and cropped to a square, never squashed. What exists and
    matches (same image bytes, same codec, same settings) is skipped. Latents whose image is gone
    from a style folder of this run are deleted.

    Args:
        raw_data_root: Folder with one folder of images a style; sub-folders are kept.
        output_root: Folder for `<style>/<image>.pt` and `manifest.json`; made if missing.
        target_size: Side of the encoded pictures, in pixels; a multiple of the codec's downscale.
        codec: What `load_codec` takes, or a loaded codec (then `device` and `dtype` must be its).
        device: Where the codec computes.
        dtype: float32 or bfloat16.
        batch_size: Pictures encoded at once.
        num_crops: Pictures cut from each image; the first is the centre, see :func:`crop_window`.
        hflip: Also encode every picture mirrored left to right.
        overwrite: Encode everything anew, and allow other settings than the folder has.
        num_workers: Threads that read and decode images; 0 decodes between batches.
        spread: Where Ray Data decodes and encodes; `codec` is then a name. None: in this process.
        is_sharded: Write many latents into a file, see `lgt.data.shards`; those of an unfinished
            shard are lost where the run is killed.
        progress: Called after each image.

    Returns:
        What was written, skipped, deleted, and what failed with the reason.

    Raises:
        InputError: A folder or a setting is not usable, or the folder holds other latents.
        CodecError: The codec can not be loaded, or runs out of memory.
    """
    if spread is not None and not isinstance(codec, str):
        raise InputError(
            "spread: processes of Ray load the codec themselves; give its name, not the codec"
        )
    raw_root, root = Path(raw_data_root), Path(output_root)
    _check_settings(target_size, batch_size, num_crops, num_workers)
    check_roots(raw_root, root)
    styles = find_styles(raw_root)
    if loose := count_loose_images(raw_root):
        warnings.warn(
            f"{loose} image(s) directly in {raw_root} belong to no style and are left out; move "
            "them into a style folder",
            stacklevel=2,
        )
    dtype, name = resolve_dtype(dtype), codec
    if isinstance(codec, str):
        codec = load_codec(codec, device=resolve_device(device), dtype=dtype)
    if target_size % codec.spec.downscale:
        raise _not_a_multiple(target_size, codec.spec.downscale)
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    with sole_writer(root, "lgt preprocess", "--output_root"):
        manifest = open_manifest(
            root, codec.spec, target_size, dtype, is_sharded=is_sharded, overwrite=overwrite
        )
        manifest.num_crops, manifest.hflip = num_crops, hflip
        names = [name for images in styles.values() for name in images]
        sources = plan(raw_root, names, num_crops=num_crops, hflip=hflip)
        run = _Run(root, manifest, codec, batch_size, progress)
        run.prepare(sources, set(styles))
        if spread is not None and isinstance(name, str):
            encoding = Encoding(root, target_size, name, str(device), dtype, batch_size, is_sharded)
            report = run.collect(encoding.on_ray(sources, manifest.files, spread), len(sources))
        else:
            decoder = Decoder(root, manifest.files, target_size, is_sharded=is_sharded)
            decoded = decoder.decode_all(sources, num_workers, ahead=2 * batch_size + num_workers)
            report = run.encode(decoded, len(sources))
    report.left_out = find_left_out(raw_root)
    return report


def _check_settings(target_size: int, batch_size: int, num_crops: int, num_workers: int) -> None:
    for name, value, low in (
        ("batch_size", batch_size, 1),
        ("num_crops", num_crops, 1),
        ("num_workers", num_workers, 0),
    ):
        if value < low:
            raise InputError(f"{name}: must be at least {low} (got {value})")
    if target_size < 8 or target_size % 8:
        raise _not_a_multiple(target_size, 8)


def _not_a_multiple(target_size: int, factor: int) -> InputError:
    lower = max(factor, target_size // factor * factor)
    near = f"{lower} or {lower + factor}" if target_size > factor else f"{factor}"
    return InputError(
        f"target_size: must be a positive multiple of {factor} (got {target_size}); use {near}"
    )


class _Run:
    """One run: decode, batch, encode, write, keep the manifest."""

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        codec: LatentCodec,
        batch_size: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.root = root
        self.manifest = manifest
        self.codec = codec
        self.batch_size = batch_size
        self.progress = progress
        self.report = PreprocessReport()
        self.batch: list[tuple[Decoded, Variant, Tensor]] = []
        self.failed: dict[Path, str] = {}
        self.skipped = 0
        self.saved_at = time.monotonic()
        self.save_cost = 0.0
        self.shards: ShardFolder | None = None
        if manifest.shards is not None:
            self.shards = ShardFolder(root)
            manifest.files, manifest.shards = self.shards.entries, self.shards.counts

    def prepare(self, sources: Sequence[Source], styles: set[str]) -> None:
        """Make the output folder and delete latents of these styles that are no longer wanted."""
        wanted = {variant.output for source in sources for variant in source.variants}
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            remove_stale_temporaries(self.root)
            for path in sorted(set(self.manifest.files) - wanted):
                if path.partition("/")[0] in styles:
                    self._remove(path)
        self._save_manifest()

    def encode(self, decoded: Iterable[Decoded], total: int) -> PreprocessReport:
        """Encode and write what is missing; the manifest is saved also when this is interrupted."""
        try:
            for done, item in enumerate(decoded, start=1):
                self._take(item)
                while len(self.batch) >= self.batch_size:
                    self._encode_batch()
                self._tell(done - len({id(waiting) for waiting, _, _ in self.batch}), total)
            while self.batch:
                self._encode_batch()
            self._tell(total, total)
        finally:
            self._finish()
        self.report.failed = list(self.failed.items())
        return self.report

    def _take(self, item: Decoded) -> None:
        self.report.skipped += item.matching
        if item.problem is not None:
            self._fail(item.source, item.problem)
        elif not item.pictures:
            self.skipped += 1
        self.batch += [(item, variant, picture) for variant, picture in item.pictures]
        item.pictures = []

    def _encode_batch(self) -> None:
        batch, self.batch = self.batch[: self.batch_size], self.batch[self.batch_size :]
        latents = encode_pictures(self.codec, [picture for _, _, picture in batch])
        for (item, variant, _), latent in zip(batch, latents, strict=True):
            if not torch.isfinite(latent).all():
                self._fail(item.source, NOT_FINITE)
            elif item.source.path not in self.failed:
                self._write(item, variant, latent)
        self._save_manifest_when_due()

    def _write(self, item: Decoded, variant: Variant, latent: Tensor) -> None:
        if self.shards is None:
            entry = write_latent(self.root, item, variant, latent)
            self.manifest.files[variant.output] = entry
        else:
            self._into_shard(variant.output, entry_of(item, variant), latent)
        self.report.written.append(variant.output)

    def _into_shard(self, output: str, entry: LatentEntry, latent: Tensor) -> None:
        with writing(self.root):
            if self.shards is not None and self.shards.add(output, entry, latent):
                self._save_manifest()

    def _fail(self, source: Source, reason: str) -> None:
        """Note the reason, and delete what the image gave before it became unusable."""
        self.failed[source.path] = reason
        for variant in source.variants:
            self._remove(variant.output)

    def _remove(self, path: str) -> None:
        if self.shards is not None:
            if self.shards.remove(path):
                self.report.removed.append(path)
        elif self.manifest.files.pop(path, None) is not None:
            (self.root / path).unlink(missing_ok=True)
            self.report.removed.append(path)

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(Progress(done, total, self.skipped, len(self.failed)))

    def collect(self, made: Iterable[Made], total: int) -> PreprocessReport:
        """Note what other processes make; the manifest is saved also when this is interrupted."""
        try:
            for done, item in enumerate(made, start=1):
                self.report.skipped += item.matching
                if item.problem is not None:
                    self._fail(item.source, item.problem)
                else:
                    self.skipped += not item.entries
                    for output, latent in item.latents.items():
                        self._into_shard(output, item.entries[output], latent)
                    self.manifest.files.update(item.entries)
                    self.report.written += item.entries
                self._save_manifest_when_due()
                self._tell(done, total)
        finally:
            self._finish()
        self.report.failed = list(self.failed.items())
        return self.report

    def _finish(self) -> None:
        if self.shards is not None:
            with writing(self.root):
                self.shards.finish()
        self._save_manifest()

    def _save_manifest_when_due(self) -> None:
        if time.monotonic() - self.saved_at > max(_SAVE_SECONDS, 20 * self.save_cost):
            self._save_manifest()

    def _save_manifest(self) -> None:
        start = time.monotonic()
        with writing(self.root):
            self.manifest.save(self.root)
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - start
