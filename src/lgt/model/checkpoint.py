"""Checkpoints: everything that inference and an exact resume need, in one `weights_only` file."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from lgt.codec.spec import CodecSpec
from lgt.config import Config, config_to_dict, read_stored
from lgt.damage import MAX_INTEGER, count_of, flag_of, in_short, mapping_of
from lgt.data.store import is_plain
from lgt.energy.works import WorksGaussians
from lgt.errors import CheckpointError, ConfigError, InputError
from lgt.files import atomic_write, storage_errors
from lgt.model.progress import Progress
from lgt.model.release import SUFFIX, is_release, read_release
from lgt.names import check_style_names

SCHEMA_VERSION = 1
LATEST = "latest.pt"
INTERRUPTED = "interrupted.pt"
_MAX_SIDE = 2**20
"""Of latents, in positions: beyond any picture."""
_EPOCH_NAME = re.compile(r"epoch_(\d{4,})\.pt")


@dataclass
class Checkpoint:
    """State of a run between two steps."""

    config: Config
    style_names: tuple[str, ...]
    codec: CodecSpec | None
    latent_shape: tuple[int, int, int]
    """Channels, height and width of the training latents."""
    step: int
    """Optimiser steps done."""
    network: dict[str, Tensor]
    ema: dict[str, Tensor] | None = None
    """Averaged weights, which inference prefers."""
    optimizer: dict[str, Any] | None = None
    collection: dict[str, Tensor] | None = None
    """Running moments of the distance of collections, if the energy has it."""
    critic: dict[str, Any] | None = None
    """Weights and optimiser of the learned distance, if the energy has it."""
    works: WorksGaussians | None = None
    """How an image network sees the works of each style, if the energy compares collections."""
    collapse_count: int = 0
    """Epochs in a row in which outputs did not depend on the style."""
    is_collapsed: bool = False
    """Whether `on_collapse: stop` ended the run here."""
    progress: Progress | None = None
    """Counts of epochs and sources; None in checkpoints of earlier versions."""
    outdated: tuple[str, ...] = ()
    """A sentence for each key of the training that is gone, with nothing that says the same."""
    version: int = field(default=SCHEMA_VERSION)

    @property
    def inference_weights(self) -> dict[str, Tensor]:
        """The averaged weights if there are any, else the network's."""
        return self.network if self.ema is None else self.ema

    def save(self, path: Path, *, keeps_old: bool = False) -> Path | None:
        """Write the file, or leave what was there.

        Args:
            path: The file.
            keeps_old: Give a file of this name that is there another name, instead of replacing it.

        Returns:
            The other name, if one was given.

        Raises:
            StorageError: The disk is full, or does not take it.
        """
        content: dict[str, Any] = {
            "schema_version": self.version,
            "config": config_to_dict(self.config),
            "style_names": list(self.style_names),
            "codec": None if self.codec is None else asdict(self.codec),
            "latent_shape": list(self.latent_shape),
            "step": self.step,
            "network": self.network,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "collection": self.collection,
            "critic": self.critic,
            "works": None if self.works is None else self.works.packed(),
            "collapse_count": self.collapse_count,
            "is_collapsed": self.is_collapsed,
            "progress": None if self.progress is None else self.progress.to_dict(),
        }
        return save_content(content, path, keeps_old=keeps_old)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a file of :meth:`save` or of `lgt pack` to the CPU, executing no code from it.

        Raises:
            CheckpointError: No such file, damaged, not a checkpoint of LGT, or of a newer version.
        """
        if not path.is_file():
            raise CheckpointError(f"no such checkpoint: {path}{_neighbours(path)}")
        try:
            if is_release(path):
                content = read_release(path)
            else:
                with path.open("rb") as file:  # Of a path, torch would believe the suffix.
                    content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise CheckpointError(
                f"{path}: can not be read as a checkpoint ({in_short(error)}); it is damaged, or "
                "neither a .pt file that holds only weights and plain values nor a .safetensors "
                "file of `lgt pack`"
            ) from error
        if not isinstance(content, dict) or "schema_version" not in content:
            raise CheckpointError(f"{path}: not a checkpoint of LGT (no schema_version inside)")
        if content["schema_version"] != SCHEMA_VERSION:
            raise CheckpointError(
                f"{path}: has checkpoint version {content['schema_version']}, this program reads "
                f"version {SCHEMA_VERSION}; use the LGT release that wrote it"
            )
        try:
            return cls._from_content(content, path)
        except ConfigError:
            raise
        except InputError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except Exception as error:  # Whatever is wrong with it.
            raise CheckpointError(
                f"{path}: the file is damaged, a part of it is missing ({in_short(error)})"
            ) from error

    @classmethod
    def _from_content(cls, content: dict[str, Any], path: Path) -> Checkpoint:
        codec = content["codec"]
        shape = dict(zip(("channels", "height", "width"), content["latent_shape"], strict=True))
        channels, height, width = (count_of(shape, name, 1, _MAX_SIDE) for name in shape)
        config, outdated = read_stored(content["config"], str(path))
        style_names = check_style_names(content["style_names"])
        return cls(
            config=config,
            outdated=outdated,
            style_names=style_names,
            codec=None if codec is None else CodecSpec.from_dict(codec),
            latent_shape=(channels, height, width),
            step=count_of(content, "step", 0, MAX_INTEGER),
            network=_tensors(content["network"], "network"),
            ema=None if content["ema"] is None else _tensors(content["ema"], "ema"),
            optimizer=_state(content["optimizer"], "optimizer"),
            collection=None
            if content.get("collection") is None
            else _tensors(content["collection"], "collection"),
            critic=_state(content.get("critic"), "critic"),
            works=_works(content.get("works"), len(style_names)),
            collapse_count=count_of(content, "collapse_count", 0, MAX_INTEGER),
            is_collapsed=flag_of(content, "is_collapsed"),
            progress=Progress.from_dict(progress)
            if (progress := content.get("progress"))
            else None,
        )


def _state(values: object, name: str) -> dict[str, Any] | None:
    """Return the state of an optimiser, or of what has one."""
    return None if values is None else dict(mapping_of(values, name))


def _works(values: object, num_styles: int) -> WorksGaussians | None:
    """Return what is kept of the works of each style.

    Raises:
        InputError: It is damaged, or of other styles.
    """
    if values is None:
        return None
    works = WorksGaussians.unpacked(_tensors(values, "works"))
    if works.num_styles != num_styles:
        raise InputError(f"works: of {works.num_styles} styles, and the model has {num_styles}")
    return works


def _tensors(values: object, name: str) -> dict[str, Tensor]:
    """Return weights by name.

    Raises:
        InputError: They are none, or a few bytes stand for any number of values.
    """
    tensors = dict(mapping_of(values, name))
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or not is_plain(value):
            raise InputError(f"{name}: {key[:80]} is not stored as plain numbers")
    return tensors


def refuse_outdated(source: str | Path, outdated: tuple[str, ...]) -> None:
    """Refuse to train further what was trained with keys that are gone.

    Raises:
        CheckpointError: Says which.
    """
    if outdated:
        raise CheckpointError(
            f"{source}: paints, but can not be trained further as it was: {'; '.join(outdated)}"
        )


def epoch_checkpoints(save_dir: Path) -> list[Path]:
    """Return the `epoch_XXXX.pt` files of a folder, oldest epoch first."""
    found = [path for path in save_dir.glob("epoch_*.pt") if _EPOCH_NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.split("_")[1]))


def newest_first(save_dir: Path) -> list[Path]:
    """Return the checkpoints of a run in a folder, the one that was written last first."""
    found = [*save_dir.glob(INTERRUPTED), *epoch_checkpoints(save_dir)]
    place = {path: index for index, path in enumerate(found)}
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, place[path]), reverse=True)


def checkpoint_to_resume(save_dir: Path) -> Path:
    """Return `latest.pt`, or the newest checkpoint where there is none."""
    latest = save_dir / LATEST
    return latest if latest.is_file() else next(iter(newest_first(save_dir)), latest)


def save_content(content: dict[str, Any], path: Path, *, keeps_old: bool = False) -> Path | None:
    """Write tensors and plain values; see :meth:`Checkpoint.save`."""
    num_bytes = sum(t.nbytes for t in tree_leaves(content) if isinstance(t, Tensor))
    kept = None
    with storage_errors(path, num_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, is_durable=True) as temporary:
            torch.save(content, temporary)
            if keeps_old and path.exists():
                kept = set_aside(path)
    return kept


def set_aside(path: Path) -> Path:
    """Give a file the name `..._old1` or the next one that is free; return the new path."""
    names = (path.with_name(f"{path.stem}_old{i}{path.suffix}") for i in count(1))
    free = next(name for name in names if not name.exists())
    return path.rename(free)


def link_latest(path: Path) -> None:
    """Make `latest.pt` beside `path` point to it, in one step.

    Raises:
        StorageError: The disk does not take it.
    """
    with storage_errors(path.parent / LATEST), atomic_write(path.parent / LATEST) as link:
        try:
            link.symlink_to(path.name)
        except OSError:  # A file system without symbolic links: a second name for the same file.
            os.link(path, link)


def prune(save_dir: Path, keep_last: int, newest: Path | None = None) -> None:
    """Delete all epoch checkpoints but `keep_last`, counted back from `newest`; 0 keeps all.

    Checkpoints of later epochs, of a run that `newest` branched off, are left alone.
    """
    paths = epoch_checkpoints(save_dir)
    if newest is not None:
        paths = paths[: paths.index(newest) + 1]
    if keep_last:
        for path in paths[:-keep_last]:
            path.unlink(missing_ok=True)


def _neighbours(path: Path) -> str:
    """Say which checkpoints there are instead."""
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent}); train one with `lgt train`"
    names = [p.name for p in sorted(path.parent.iterdir()) if p.suffix in {".pt", SUFFIX}]
    if not names:
        return f" (no .pt file in {path.parent}); train one with `lgt train`"
    shown = ", ".join(names[-5:])
    return f"; in {path.parent}: {shown}"
