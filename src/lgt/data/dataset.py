"""Latents in memory, ready to train on, and the drawing of style-balanced batches."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from lgt.codec.spec import CodecSpec, scale_latents
from lgt.data.shards import ShardedLatents, ShardedPaths
from lgt.data.store import Manifest, load_latent
from lgt.errors import InputError
from lgt.seeds import draw_distinct

InMemory = Literal["auto", "true", "false"]
MOST_HELD = 2**30
"""Bytes of shards that are held in memory where it is not said."""


@dataclass
class LatentDataset:
    """All latents of some styles, in memory or in shards."""

    latents: Tensor | ShardedLatents
    """Scaled latents `[N, C, h, w]`, float32, channels-last, grouped by style."""
    style_ids: Tensor
    """`[N]`, int64."""
    style_names: tuple[str, ...]
    """The position is the style id."""
    codec: CodecSpec | None
    """The codec they were made with; None if the folder does not say."""
    paths: Sequence[Path]
    """The file of each latent."""

    @classmethod
    def from_config(
        cls,
        data_root: Path | str,
        style_subdirs: Sequence[str],
        latent_channels: int,
        num_workers: int = 2,
        *,
        codec_spec: CodecSpec | None = None,
        in_memory: InMemory = "auto",
    ) -> LatentDataset:
        """Load the latents of the given styles, and scale them.

        Args:
            data_root: Folder that `lgt preprocess` wrote.
            style_subdirs: Style folders; the position is the style id.
            latent_channels: What the model expects.
            num_workers: Threads that read files.
            codec_spec: Numbers to scale with where the folder has no manifest; without them such
                latents are taken as scaled already, with a warning.
            in_memory: Whether all are held in memory; `auto`: shards of up to `MOST_HELD` bytes,
                and all other latents. `false` is for shards alone.

        Raises:
            InputError: A folder is missing or empty, a file is damaged, or shapes do not fit.
        """
        root = Path(data_root)
        manifest = _read_manifest(root, codec_spec)
        spec = manifest.codec if manifest is not None else codec_spec
        if spec is not None and spec.latent_channels != latent_channels:
            raise InputError(
                f"data_root: the latents in {root} have {spec.latent_channels} channels (codec "
                f"{spec.name}), but model.latent_channels is {latent_channels}; set it to "
                f"{spec.latent_channels}, or preprocess with another codec"
            )
        _check_styles(root, style_subdirs)
        if manifest is not None and manifest.shards is not None:
            return _from_shards(root, style_subdirs, manifest, latent_channels, in_memory)
        if in_memory == "false":
            raise InputError(
                f"data.in_memory: false needs latents in shards, and {root} has a file for each; "
                "run `lgt preprocess --format shards` into another folder, or set it to auto"
            )
        paths: list[Path] = []
        style_ids: list[int] = []
        for style_id, name in enumerate(style_subdirs):
            found = _latent_paths(root, name, manifest)
            paths += found
            style_ids += [style_id] * len(found)
        with ThreadPoolExecutor(max(1, num_workers)) as pool:
            loaded = list(pool.map(load_latent, paths))
        _check_shapes(loaded, paths, latent_channels)
        _check_finite(loaded, paths)
        latents = torch.stack(loaded)
        if spec is not None:
            latents = scale_latents(latents, spec)
        return cls(
            latents=latents.contiguous(memory_format=torch.channels_last),
            style_ids=torch.tensor(style_ids, dtype=torch.int64),
            style_names=tuple(style_subdirs),
            codec=spec,
            paths=tuple(paths),
        )

    @property
    def num_styles(self) -> int:
        """Number of styles."""
        return len(self.style_names)

    def __len__(self) -> int:
        return len(self.style_ids)

    def indices_of(self, style_id: int) -> Tensor:
        """Return the positions `[n]` of a style's latents, ascending.

        Raises:
            InputError: There is no such style id.
        """
        self._check(style_id)
        return torch.nonzero(self.style_ids == style_id).flatten()

    @cached_property
    def _ends(self) -> list[int] | None:
        """Where the latents of each style end; None: they are mixed."""
        if bool((self.style_ids[1:] < self.style_ids[:-1]).any()):
            return None
        return self.style_ids.bincount(minlength=self.num_styles).cumsum(0).tolist()

    def draw(self, style_id: int, count: int, generator: Generator | None = None) -> Tensor:
        """Draw positions `[count]` of a style's latents, each once as long as there are enough.

        Raises:
            InputError: There is no such style id.
        """
        self._check(style_id)
        if self._ends is None:
            members = self.indices_of(style_id)
            return members[_draw(len(members), count, generator)]
        start = self._ends[style_id - 1] if style_id else 0
        return start + _draw(self._ends[style_id] - start, count, generator)

    def _check(self, style_id: int) -> None:
        if not 0 <= style_id < self.num_styles:
            raise InputError(
                f"style id {style_id}: must be 0 to {self.num_styles - 1} "
                f"({', '.join(self.style_names)})"
            )


@dataclass(frozen=True)
class Batch:
    """Sources and the styles they shall get."""

    x_src: Tensor
    """Scaled latents `[B, C, h, w]`."""
    source_style_id: Tensor
    """`[B]`, int64."""
    target_style_id: Tensor
    """`[B]`, int64; may equal the source's own style."""
    index: Tensor
    """`[B]`, int64, positions in the dataset."""
    corner: Tensor | None = None
    """`[B, 2]`, int64, on the CPU: row and column of the sources' first positions in the dataset's
    latents, where they are windows of these; None: the whole."""


def sample_batch(
    dataset: LatentDataset,
    batch_size: int,
    source_styles: Sequence[int],
    generator: Generator | None = None,
    *,
    target_shares: Sequence[float] = (),
) -> Batch:
    """Draw sources in equal shares of the source styles, and targets in equal shares of all styles.

    Shares are as near to these as the batch size allows; who gets the odd ones is drawn. Source and
    target are paired at random.

    Args:
        dataset: The latents.
        batch_size: Number of sources.
        source_styles: Style ids that sources come from; empty means all.
        generator: CPU generator of all random choices.
        target_shares: How often each style is a target, relative to the others; empty: all alike.
    """
    styles = torch.tensor(list(source_styles) or range(dataset.num_styles), dtype=torch.int64)
    source = styles[_balanced(len(styles), batch_size, generator)]
    if target_shares:
        target = _in_shares(torch.tensor(target_shares), batch_size, generator)
    else:
        target = _balanced(dataset.num_styles, batch_size, generator)
    index = torch.empty(batch_size, dtype=torch.int64)
    for style_id in sorted(set(source.tolist())):
        places = torch.nonzero(source == style_id).flatten()
        index[places] = dataset.draw(style_id, len(places), generator)
    return Batch(dataset.latents[index], source, target, index)


def random_windows(
    latents: Tensor, side: int, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return a random square `[B, C, side, side]` of each latent `[B, C, h, w]`, and its corner.

    The whole where `side` is 0; where it is larger than a side, all of that side. Corners `[B, 2]`
    are rows and columns.
    """
    if not side:
        return latents, torch.zeros(len(latents), 2, dtype=torch.int64)
    rows, corners = [], []
    for latent in latents:
        lengths = [min(side, length) for length in latent.shape[1:]]
        top, left = (
            int(torch.randint(whole - part + 1, (), generator=generator))
            for whole, part in zip(latent.shape[1:], lengths, strict=True)
        )
        rows.append(latent[:, top : top + lengths[0], left : left + lengths[1]])
        corners.append((top, left))
    is_last = latents.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_last else torch.contiguous_format
    return torch.stack(rows).contiguous(memory_format=layout), torch.tensor(corners)


def _balanced(num_classes: int, count: int, generator: Generator | None) -> Tensor:
    """Draw class numbers in random order; the counts of two classes differ by at most one."""
    rounds = -(-count // num_classes)
    drawn = [torch.randperm(num_classes, generator=generator) for _ in range(rounds)]
    return torch.cat(drawn)[:count][torch.randperm(count, generator=generator)]


def _in_shares(shares: Tensor, count: int, generator: Generator | None) -> Tensor:
    """Draw class numbers in random order; each count is its share's, rounded up or down.

    Systematic sampling: evenly spaced marks from a random start along the classes' lengths.
    """
    order = torch.randperm(len(shares), generator=generator)
    ends = shares[order].double().cumsum(0)
    start = torch.rand((), dtype=torch.float64, generator=generator)
    marks = (torch.arange(count) + start) * ends[-1] / count
    drawn = torch.searchsorted(ends, marks, right=True).clamp(max=len(shares) - 1)
    return order[drawn][torch.randperm(count, generator=generator)]


def _draw(population: int, count: int, generator: Generator | None) -> Tensor:
    """Draw without repetition as long as the population suffices."""
    if count <= population:
        return draw_distinct(population, count, generator)
    return torch.randint(population, (count,), generator=generator)


def _read_manifest(root: Path, codec_spec: CodecSpec | None) -> Manifest | None:
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise InputError(
            f"data_root: {what}: {root} (working directory: {Path.cwd()}); make it with "
            f"`lgt preprocess --raw_data_root IMAGES --output_root {root}`"
        )
    if Manifest.exists(root):
        return Manifest.load(root)
    if codec_spec is None:
        warnings.warn(
            f"data_root: {root} has no manifest.json, so the codec of its latents is unknown; they "
            "are taken as scaled already (about unit variance). Make them with `lgt preprocess` to "
            "be sure",
            stacklevel=3,
        )
    return None


def _from_shards(
    root: Path,
    style_subdirs: Sequence[str],
    manifest: Manifest,
    channels: int,
    in_memory: InMemory,
) -> LatentDataset:
    """Return latents that are in shards, in the order of these."""
    counts: dict[str, int] = {}
    numbers: list[int] = []
    for name in style_subdirs:
        own = {p: n for p, n in (manifest.shards or {}).items() if p.partition("/")[0] == name}
        if not own:
            raise InputError(
                f"data.style_subdirs: {root / name} holds no shard of latents; run `lgt preprocess "
                "--format shards`, or remove the style"
            )
        counts |= own
        numbers.append(sum(own.values()))
    latents = ShardedLatents(root, counts, manifest.codec)
    if latents.shape[1] != channels:
        raise InputError(
            f"{root}: has {latents.shape[1]} channels, but model.latent_channels is {channels}"
        )
    is_held = latents.nbytes <= MOST_HELD if in_memory == "auto" else in_memory == "true"
    return LatentDataset(
        latents=latents[:] if is_held else latents,
        style_ids=torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers)),
        style_names=tuple(style_subdirs),
        codec=manifest.codec,
        paths=ShardedPaths(latents),
    )


def _check_styles(root: Path, style_subdirs: Sequence[str]) -> None:
    """Report all missing style folders at once."""
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    problems = []
    for name in style_subdirs:
        if (root / name).is_dir():
            continue
        close = difflib.get_close_matches(name, folders, n=1)
        problems.append(f"'{name}'" + (f"; did you mean '{close[0]}'?" if close else ""))
    if problems:
        raise InputError(
            f"data.style_subdirs: no such folder(s) in {root}:\n"
            + "".join(f"  - {problem}\n" for problem in problems)
            + f"found: {', '.join(folders) or 'no folder at all'}"
        )


def _latent_paths(root: Path, name: str, manifest: Manifest | None) -> list[Path]:
    """Return the latent files of a style; with a manifest, only those that it lists."""
    present = sorted((root / name).rglob("*.pt"))
    present = [p for p in present if not p.name.startswith(".")]
    if manifest is not None:
        listed = [p for p in present if p.relative_to(root).as_posix() in manifest.files]
        if len(listed) < len(present):
            warnings.warn(
                f"data_root: {len(present) - len(listed)} file(s) in {root / name} are not in the "
                "manifest (of an interrupted run, or not of lgt) and are left out; run "
                "`lgt preprocess` again to complete it",
                stacklevel=3,
            )
        present = listed
    if not present:
        raise InputError(
            f"data.style_subdirs: {root / name} holds no latent (.pt file); run `lgt preprocess`, "
            "or remove the style"
        )
    return present


def _check_shapes(latents: Sequence[Tensor], paths: Sequence[Path], channels: int) -> None:
    for latent, path in zip(latents, paths, strict=True):
        if latent.shape[0] != channels:
            raise InputError(
                f"{path}: has {latent.shape[0]} channels, but model.latent_channels is {channels}"
            )
    shapes = Counter(tuple(latent.shape) for latent in latents)
    if len(shapes) > 1:
        lines = []
        for shape, count in shapes.most_common(4):
            example = next(p for z, p in zip(latents, paths, strict=True) if z.shape == shape)
            lines.append(f"  - {count} x {list(shape)}, such as {example}\n")
        raise InputError(
            "latents of different sizes can not be trained on together:\n"
            + "".join(lines)
            + "preprocess all with one --target_size"
        )


def _check_finite(latents: Sequence[Tensor], paths: Sequence[Path]) -> None:
    """Report all files that hold NaN or infinity: one would spoil the statistics of its style."""
    pairs = zip(latents, paths, strict=True)
    bad = [str(path) for latent, path in pairs if not bool(torch.isfinite(latent).all())]
    if bad:
        shown = "".join(f"  - {path}\n" for path in bad[:10])
        raise InputError(
            f"{len(bad)} latent(s) hold values that are not finite:\n{shown}"
            "delete them and run `lgt preprocess` again, or leave their images out"
        )
