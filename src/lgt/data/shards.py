"""Latents in shards: safetensors files of many latents each, read by their position.

`STYLE/shard_00000.safetensors` holds `latents` `[n, C, h, w]`, float32, raw, and `entries`, the
bytes of a JSON list that says what each was made from. The header stays small, so that a shard is
opened for a single latent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from lgt.codec.spec import CodecSpec, scale_latents
from lgt.damage import one_sentence, read_json
from lgt.data.store import LatentEntry
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.names import check_file_name

SHARD = 1024
"""Latents of a full shard."""
_NAME = re.compile(r"shard_([0-9]{5,})\.safetensors")
_OPEN = 16
"""Shards that are open at once."""
_ADVICE = "delete it and run `lgt preprocess --format shards` again"

Entries = dict[str, LatentEntry]


def shard_files(root: Path) -> list[Path]:
    """Return the shards of a folder, in order."""
    return sorted(path for path in root.glob("*/shard_*.safetensors") if _NAME.fullmatch(path.name))


def read_shard(path: Path) -> tuple[np.ndarray[Any, Any], Entries]:
    """Return all latents of a shard, and what each was made from by its name.

    Raises:
        InputError: It is damaged.
    """
    with one_sentence(path, "a shard of latents", _ADVICE), safe_open(path, "numpy") as file:
        latents, text = file.get_tensor("latents"), file.get_tensor("entries").tobytes()
        entries: Entries = {}
        for values in read_json(text):
            name = values.pop("name")
            check_file_name(name, is_nested=True)
            entries[name] = LatentEntry.from_dict(values)
        if latents.ndim != 4 or latents.dtype != np.float32 or len(entries) != len(latents):
            raise InputError(f"holds {len(latents)} latents and {len(entries)} names")
        return latents, entries


class ShardFolder:
    """Writes latents into shards; one that replaces an earlier one, or is gone, leaves no trace.

    Args:
        root: The folder.
        size: Latents of a full shard.
    """

    def __init__(self, root: Path, size: int = SHARD) -> None:
        self.root, self.size = root, size
        self.entries: Entries = {}
        """What is there, by name."""
        self._places: dict[str, Path] = {}
        self._waiting: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        self._gone: dict[Path, set[str]] = {}
        self.counts: dict[str, int] = {}
        """Latents of each shard, by its path in the folder."""
        for path in shard_files(root):
            _, entries = read_shard(path)
            for name, entry in entries.items():
                self._leave(name)  # Of a run that was killed before it had cleared away.
                self.entries[name], self._places[name] = entry, path
            self.counts[path.relative_to(root).as_posix()] = len(entries)

    def add(self, name: str, entry: LatentEntry, latent: Tensor) -> bool:
        """Take a latent `[C, h, w]`; tell whether a shard was written."""
        self._leave(name)
        style = name.partition("/")[0]
        self.entries[name] = entry
        waiting = self._waiting.setdefault(style, {})
        waiting[name] = latent.detach().float().cpu().contiguous().numpy().copy()
        if len(waiting) < self.size:
            return False
        self._flush(style)
        return True

    def remove(self, name: str) -> bool:
        """Forget a latent; tell whether there was one."""
        self._leave(name)
        self._waiting.get(name.partition("/")[0], {}).pop(name, None)
        return self.entries.pop(name, None) is not None

    def finish(self) -> None:
        """Write what waits, and write anew the shards that lost latents."""
        for style in [style for style, waiting in self._waiting.items() if waiting]:
            self._flush(style)
        for path, names in self._gone.items():
            latents, entries = read_shard(path)
            kept = [i for i, name in enumerate(entries) if name not in names]
            rest = {n: e for n, e in entries.items() if n not in names}
            self._write(path, latents[kept], rest)
        self._gone = {}

    def _leave(self, name: str) -> None:
        path = self._places.pop(name, None)
        if path is not None:
            self._gone.setdefault(path, set()).add(name)

    def _flush(self, style: str) -> None:
        waiting = self._waiting.pop(style)
        numbers = [
            int(found[1])
            for path in (self.root / style).glob("shard_*.safetensors")
            if (found := _NAME.fullmatch(path.name))
        ]
        path = self.root / style / f"shard_{max(numbers, default=-1) + 1:05d}.safetensors"
        self._write(path, np.stack(list(waiting.values())), {n: self.entries[n] for n in waiting})
        self._places.update(dict.fromkeys(waiting, path))

    def _write(self, path: Path, latents: np.ndarray[Any, Any], entries: Mapping[str, Any]) -> None:
        key = path.relative_to(self.root).as_posix()
        if not entries:
            path.unlink(missing_ok=True)
            self.counts.pop(key, None)
            return
        listed = [{"name": name, **asdict(entry)} for name, entry in entries.items()]
        text = np.frombuffer(json.dumps(listed, separators=(",", ":")).encode(), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, is_durable=True) as temporary:
            save_file({"latents": np.ascontiguousarray(latents), "entries": text}, temporary)
        self.counts[key] = len(entries)


class ShardedLatents:
    """Scaled latents `[N, C, h, w]` on disk: indexing reads those that are named.

    Args:
        root: The folder.
        counts: Latents of each shard, by its path in the folder, in order.
        spec: Numbers to scale with.

    Raises:
        InputError: Shards are missing, damaged, or of different sizes.
    """

    def __init__(self, root: Path, counts: Mapping[str, int], spec: CodecSpec) -> None:
        self.root, self.spec = root, spec
        self.files = [root / name for name in counts]
        self.ends = torch.tensor(list(counts.values())).cumsum(0)
        self.device, self._layout = torch.device("cpu"), torch.channels_last
        shapes: dict[tuple[int, ...], Path] = {}
        for path, count in zip(self.files, counts.values(), strict=True):
            shape = tuple(_opened(path).get_shape())
            shapes.setdefault(shape[1:], path)
            if len(shape) != 4 or shape[0] != count:
                raise InputError(
                    f"{path}: holds latents {list(shape)}, its manifest says {count}; {_ADVICE}"
                )
        if len(shapes) > 1:
            seen = ", ".join(f"{list(shape)} such as {path}" for shape, path in shapes.items())
            raise InputError(
                f"latents of different sizes can not be trained on together: {seen}; preprocess "
                "all with one --target_size"
            )
        self.shape = torch.Size((int(self.ends[-1]), *next(iter(shapes))))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that all of them take in memory."""
        return 4 * self.shape.numel()

    def to(self, device: torch.device, memory_format: torch.memory_format) -> ShardedLatents:
        """Return the same latents, which come to another device when they are read."""
        other = object.__new__(ShardedLatents)
        other.__dict__.update(self.__dict__)
        other.device, other._layout = device, memory_format
        return other

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Return the latents of some rows `[...]` as `[..., C, h, w]`.

        Raises:
            InputError: A shard is damaged, or holds values that are not finite.
        """
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(len(self)))
        flat = rows.flatten().cpu()
        found = torch.empty(len(flat), *self.shape[1:])
        # Shard by shard, so that each is opened once.
        for place in flat.argsort().tolist():
            path, row = self.where(int(flat[place]))
            with one_sentence(path, "a shard of latents", _ADVICE):
                found[place] = torch.from_numpy(_opened(path)[row])
        if not bool(torch.isfinite(found).all()):
            raise InputError(f"{self.root}: a latent holds values that are not finite; {_ADVICE}")
        scaled = scale_latents(found, self.spec).to(self.device, memory_format=self._layout)
        return scaled if rows.ndim == 1 else scaled.reshape(*rows.shape, *self.shape[1:])

    def where(self, index: int) -> tuple[Path, int]:
        """Return the shard of a latent, and its row there."""
        shard = int(torch.searchsorted(self.ends, index, right=True))
        return self.files[shard], index - (int(self.ends[shard - 1]) if shard else 0)


class ShardedPaths(Sequence[Path]):
    """The paths that latents would have one by one, read from their shards when they are asked for.

    Args:
        latents: The latents.
    """

    def __init__(self, latents: ShardedLatents) -> None:
        self.latents = latents

    def __len__(self) -> int:
        return len(self.latents)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        """Return a latent's path."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path, row = self.latents.where(range(len(self))[index])
        return self.latents.root / _names(path)[row]

    def __iter__(self) -> Iterator[Path]:
        return (self[index] for index in range(len(self)))


@lru_cache(_OPEN)
def _opened(path: Path) -> Any:
    """Return the latents of a shard, of which a row is read when it is indexed."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `lgt preprocess --format shards` again")
    with one_sentence(path, "a shard of latents", _ADVICE):
        found = safe_open(path, "numpy").get_slice("latents")  # type: ignore[no-untyped-call]
        if found.get_dtype() != "F32":
            raise InputError(f"{path}: holds {found.get_dtype()}, not float32; {_ADVICE}")
        return found


@lru_cache(_OPEN)
def _names(path: Path) -> list[str]:
    return list(read_shard(path)[1])
