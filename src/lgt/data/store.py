"""The folder of latents: one `.pt` file each, and a manifest that says what they are.

A `.pt` file holds one raw latent `[C, h, w]`, float32, contiguous. `manifest.json` names the codec
(with its scaling), the settings, and for every file its source image and that image's SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lgt.codec.spec import CodecSpec
from lgt.damage import (
    MAX_INTEGER,
    count_of,
    flag_of,
    mapping_of,
    one_sentence,
    read_json,
    text_of,
)
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.names import check_file_name

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
SHARDED_VERSION = 2
"""Of folders whose latents are in shards, which say themselves what they hold."""


@dataclass(frozen=True)
class LatentEntry:
    """What one `.pt` file was made from."""

    source: str
    """Image path relative to the raw folder, with forward slashes."""
    sha256: str
    """Of the image file's bytes."""
    crop: int = 0
    """Index of the crop; 0 is the centre."""
    hflip: bool = False
    """Mirrored left to right before encoding."""
    num_bytes: int = 0
    """Size of the `.pt` file, which tells a cut-off file."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LatentEntry:
        """Read what a manifest says.

        Raises:
            TypeError: A value is missing or not usable.
        """
        if unknown := set(values) - {"source", "sha256", "crop", "hflip", "num_bytes"}:
            raise TypeError(f"holds what this release does not know: {sorted(unknown)[:3]}")
        return cls(
            text_of(values, "source"),
            text_of(values, "sha256"),
            count_of(values, "crop", 0, 2**20, 0),
            flag_of(values, "hflip", False),
            count_of(values, "num_bytes", 0, MAX_INTEGER, 0),
        )


@dataclass
class Manifest:
    """Description of a folder of latents."""

    codec: CodecSpec
    target_size: int
    """Side of the encoded images, in pixels."""
    precision: str = "float32"
    """Number format that the codec computed in."""
    num_crops: int = 1
    hflip: bool = False
    files: dict[str, LatentEntry] = field(default_factory=dict)
    """By `.pt` path relative to the folder, with forward slashes; not saved beside shards."""
    shards: dict[str, int] | None = None
    """Latents of each shard by its path in the folder, see `lgt.data.shards`; None: a file each."""

    @staticmethod
    def exists(root: Path) -> bool:
        """Tell whether a folder has a manifest."""
        return (root / MANIFEST_NAME).is_file()

    @classmethod
    def load(cls, root: Path) -> Manifest:
        """Read the manifest of a folder.

        Raises:
            InputError: It is missing, damaged or of a newer version.
        """
        path = root / MANIFEST_NAME
        try:
            return cls._from_dict(read_json(path.read_bytes()))
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; run `lgt preprocess --output_root {root}`"
            ) from None
        except Exception as error:  # Whatever is wrong with it.
            if isinstance(error, InputError):
                raise InputError(f"{path}: {error}") from error
            raise InputError(
                f"{path}: damaged ({type(error).__name__}: {error}); delete it and run "
                "`lgt preprocess` again"
            ) from error

    @classmethod
    def _from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        values = mapping_of(values, "the manifest")
        for path, entry in mapping_of(values["files"], "files").items():
            try:
                check_file_name(path, is_nested=True)
                check_file_name(entry["source"], is_nested=True)
            except InputError as error:
                raise InputError(
                    f"names a file outside of the folder: {path[:80]} ({error})"
                ) from error
        version, shards = values["schema_version"], None
        if version == SHARDED_VERSION:
            named = mapping_of(values["shards"], "shards")
            for path in named:
                check_file_name(path, is_nested=True)
            shards = {path: count_of(named, path, 1, 2**20) for path in named}
        elif version != SCHEMA_VERSION:
            raise InputError(
                f"schema version {version}, but this release of lgt reads {SCHEMA_VERSION} "
                f"and {SHARDED_VERSION}; "
                "update lgt, or run `lgt preprocess --overwrite`"
            )
        return cls(
            codec=CodecSpec.from_dict(values["codec"]),
            target_size=count_of(values, "target_size", 1, 2**20),
            precision=text_of(values, "precision"),
            num_crops=count_of(values, "num_crops", 1, 2**20),
            hflip=flag_of(values, "hflip"),
            files={path: LatentEntry.from_dict(entry) for path, entry in values["files"].items()},
            shards=shards,
        )

    def save(self, root: Path) -> None:
        """Write the manifest, in one step."""
        is_sharded = self.shards is not None
        values = {
            "schema_version": SHARDED_VERSION if is_sharded else SCHEMA_VERSION,
            "codec": self.codec.to_dict(),
            "target_size": self.target_size,
            "precision": self.precision,
            "num_crops": self.num_crops,
            "hflip": self.hflip,
            "files": {} if is_sharded else {p: asdict(self.files[p]) for p in sorted(self.files)},
        }
        if self.shards is not None:
            values["shards"] = dict(sorted(self.shards.items()))
        with atomic_write(root / MANIFEST_NAME, is_durable=True) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def open_manifest(
    root: Path,
    spec: CodecSpec,
    target_size: int,
    dtype: torch.dtype,
    *,
    is_sharded: bool = False,
    overwrite: bool = False,
) -> Manifest:
    """Load the manifest to go on with, or start one.

    Args:
        root: The folder of latents; need not exist.
        spec: The codec that is going to be used.
        target_size: Side of the encoded images, in pixels.
        dtype: Number format that the codec computes in.
        is_sharded: Whether latents go into shards.
        overwrite: Delete the latents that a manifest lists, and start anew.

    Raises:
        InputError: The folder holds latents of another codec, size or precision.
    """
    precision = str(dtype).removeprefix("torch.")
    fresh = Manifest(spec, target_size, precision, shards={} if is_sharded else None)
    if not Manifest.exists(root):
        return fresh
    try:
        old = Manifest.load(root)
    except InputError:
        if overwrite:
            return fresh
        raise
    changes = []
    if not old.codec.is_compatible(spec):
        changes.append(
            f"codec: {old.codec.name} ({old.codec.fingerprint}) -> {spec.name} ({spec.fingerprint})"
        )
    if old.target_size != target_size:
        changes.append(f"target_size: {old.target_size} -> {target_size}")
    if old.precision != precision:
        changes.append(f"precision: {old.precision} -> {precision}")
    if (old.shards is not None) != is_sharded:
        kinds = ("pt", "shards") if is_sharded else ("shards", "pt")
        changes.append(f"format: {kinds[0]} -> {kinds[1]}")
    there = [*old.files, *(old.shards or ())]
    if not overwrite and changes and there:
        raise InputError(
            f"output_root: {root} holds latents that were made with other settings:\n"
            + "".join(f"  - {change}\n" for change in changes)
            + "choose another output_root, or the same settings, or replace them all with "
            "--overwrite"
        )
    if overwrite or changes:
        for path in there:
            (root / path).unlink(missing_ok=True)
        return fresh
    old.codec = spec
    return old


def save_latent(latent: Tensor, path: Path) -> int:
    """Write one raw latent `[C, h, w]`; return the size of the file in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        # Through a handle, since torch writes the name of a path into the file: the temporary one
        # is of another length in another process. A clone, since saving a view would write the
        # whole batch that it is a part of.
        with temporary.open("wb") as file:
            torch.save(latent.detach().float().cpu().contiguous().clone(), file)
        return temporary.stat().st_size


def is_plain(value: Tensor) -> bool:
    """Tell a tensor that holds a number for each of its values.

    Those of a damaged file may be of other kinds, or let a few bytes stand for many values.
    """
    is_dense = value.layout == torch.strided and not (value.is_meta or value.is_nested)
    return is_dense and not value.is_quantized and value.nbytes <= value.untyped_storage().nbytes()


def load_latent(path: Path) -> Tensor:
    """Read one latent `[C, h, w]` as float32.

    Raises:
        InputError: The file is missing or damaged, or does not hold such a tensor.
    """
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `lgt preprocess` again") from None
    except Exception as error:  # the reader raises many kinds on damaged data
        raise InputError(
            f"{path}: damaged latent file ({type(error).__name__}); delete it and run "
            "`lgt preprocess` again"
        ) from error
    with one_sentence(path, "a latent", "delete it and run `lgt preprocess` again"):
        return _checked(value, path)


def _checked(value: object, path: Path) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        seen = f"dtype {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{path}: expected a tensor of floats [C, h, w], found {seen}")
    if not is_plain(value):
        raise InputError(f"{path}: the latent is not stored as plain numbers")
    if value.ndim == 4 and value.shape[0] == 1:
        value = value[0]
    if value.ndim != 3:
        raise InputError(f"{path}: expected a latent [C, h, w], found shape {list(value.shape)}")
    return value.float()
