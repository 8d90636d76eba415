"""Measure pictures with a network: moments, patches and distances to a source; cached on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lgt.energy import edge_difference
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.image.edges import edge_map
from lgt.image.grey import matched_luminance
from lgt.metrics.moments import Moments
from lgt.metrics.perceptual import feature_distance
from lgt.metrics.ssim import structural_similarity
from lgt.nn.backbone import Backbone

FORMAT = "2"
"""Part of the name of every cached file; change it when a measure changes."""

CONTENT_LAYERS = slice(1, None)
"""Layers of the feature distance: the shallowest sees strokes and grain, which are style."""

GRID = 4
"""Patches kept of each layer of each picture, along each axis."""

BRANCHES = ("colour", "grey")
CONTENT = ("content", "edges", "ssim")
Arrays = dict[str, NDArray[np.float32]]
Pictures = Tensor
"""uint8 `[N, 3, H, W]`."""


@dataclass(frozen=True)
class Branch:
    """What is known of N pictures, in colour or in grey."""

    layers: tuple[Moments, ...]
    patches: tuple[NDArray[np.float32], ...]
    """A layer each: `[N, GRID^2, C]`."""

    def __getitem__(self, which: list[int]) -> Branch:
        return Branch(tuple(m[which] for m in self.layers), tuple(p[which] for p in self.patches))

    @classmethod
    def join(cls, parts: Sequence[Branch]) -> Branch:
        """Join the pictures of several."""
        depth = range(len(parts[0].layers))
        return cls(
            tuple(Moments.stack([part.layers[i] for part in parts]) for i in depth),
            tuple(np.concatenate([part.patches[i] for part in parts]) for i in depth),
        )


@dataclass(frozen=True)
class Measured:
    """N pictures: style statistics, and distances to a source where there is one."""

    colour: Branch
    grey: Branch
    content: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """`[N]` each: `content` (feature distance), `edges`, `ssim`; not yet divided."""

    def __len__(self) -> int:
        return len(self.colour.layers[0])

    def __getitem__(self, which: list[int]) -> Measured:
        content = {name: values[which] for name, values in self.content.items()}
        return Measured(self.colour[which], self.grey[which], content)

    @classmethod
    def join(cls, parts: Sequence[Measured]) -> Measured:
        """Join the pictures of several; distances to sources are left out."""
        return cls(
            Branch.join([part.colour for part in parts]), Branch.join([part.grey for part in parts])
        )


def as_float(pictures: Pictures) -> Tensor:
    """Return pictures as float32 in [0, 1]."""
    return pictures.float() / 255


@dataclass(frozen=True)
class Sources:
    """Photos, with what distances to them need."""

    pictures: Pictures
    layers: tuple[Tensor, ...]
    """Features of the matched luminance, float16 `[N, C, h, w]` each."""
    edges: Tensor
    """Edge maps, `[N, 1, H, W]`."""


def content_layers(layers: Sequence[Tensor]) -> list[Tensor]:
    """Return the layers that the feature distance compares: the deeper ones."""
    return list(layers[CONTENT_LAYERS])


class Measurer:
    """Measures pictures with one network; batches, and a cache on disk.

    Args:
        backbone: The network.
        cache: Folder of cached measurements; None: no cache. It is made when it is needed.
        batch: Pictures at once.
    """

    def __init__(self, backbone: Backbone, cache: Path | None = None, batch: int = 8) -> None:
        self.backbone, self.cache, self.batch = backbone, cache, batch

    def sources(self, pictures: Pictures) -> Sources:
        """Prepare photos as sources of distances."""
        parts = [
            [layer.half() for layer in content_layers(self._layers(_grey(as_float(batch))))]
            for batch in torch.split(pictures, self.batch)
        ]
        layers = tuple(torch.cat(layer) for layer in zip(*parts, strict=True))
        return Sources(pictures, layers, edge_map(as_float(pictures)))

    def measure(
        self, pictures: Pictures, sources: Sources | None = None, *, keep: bool = False
    ) -> Measured:
        """Measure pictures, and their distances to `sources` if given.

        Args:
            pictures: uint8 `[N, 3, H, W]`.
            sources: The picture that each was made of, in the same order.
            keep: Read from and write to the cache.
        """
        paths: list[Path | None] = [None] * len(pictures)
        arrays: list[Arrays | None] = [None] * len(pictures)
        if keep and self.cache is not None:
            origins = pictures if sources is None else sources.pictures
            for index, (picture, origin) in enumerate(zip(pictures, origins, strict=True)):
                path = self._path(self.cache, picture, None if sources is None else origin)
                paths[index], arrays[index] = path, _read(path)
        missing = [index for index, found in enumerate(arrays) if found is None]
        for start in range(0, len(missing), self.batch):
            which = missing[start : start + self.batch]
            for index, found in zip(which, self._compute(pictures, which, sources), strict=True):
                arrays[index] = found
                path_ = paths[index]
                if path_ is not None:
                    _write(path_, found)
        return _join([a for a in arrays if a is not None])

    def _layers(self, images: Tensor) -> list[Tensor]:
        """Return the features, 2 x 2 means of each layer.

        Note:
            Without the means, a shift by less than a feature's stride counts as a change, and the
            codec's grain as a style.
        """
        return [F.avg_pool2d(layer, 2) for layer in self.backbone(images)]

    def _compute(
        self, pictures: Pictures, which: list[int], sources: Sources | None
    ) -> Iterator[Arrays]:
        images = as_float(pictures[which])
        branches = {"colour": self._layers(images), "grey": self._layers(_grey(images))}
        found: dict[str, NDArray[Any]] = {}
        for branch, layers in branches.items():
            for index, layer in enumerate(layers):
                moments = Moments.of(layer)
                found[f"{branch}.{index}.mean"] = moments.mean
                found[f"{branch}.{index}.second"] = moments.second
                found[f"{branch}.{index}.patches"] = _patches(layer)
        if sources is not None:
            origin = [layer[which] for layer in sources.layers]
            found["content"] = feature_distance(content_layers(branches["grey"]), origin).numpy()
            found["edges"] = edge_difference(edge_map(images), sources.edges[which]).numpy()
            found["ssim"] = structural_similarity(images, as_float(sources.pictures[which]))
        for row in range(len(which)):
            yield {name: v[row : row + 1].astype(np.float32) for name, v in found.items()}

    def unrelated(
        self, photos: Sources, shifts: Sequence[int] = (1, 2, 3), num_photos: int | None = None
    ) -> dict[str, float]:
        """Return the mean distances of photos to other photos: what counts as 1.

        Args:
            photos: One picture a photo, or windows: the first of all photos, then the second.
            shifts: A photo's partners, in places after it.
            num_photos: How many photos the pictures are of; None: as many as there are pictures.

        Raises:
            InputError: There are fewer than two photos.
        """
        pictures = len(photos.pictures)
        count = pictures if num_photos is None else num_photos
        if count < 2:
            raise InputError(f"distances are relative to those of other photos: got {count} photo")
        content, edges = [], []
        for shift in {s % count for s in shifts} - {0}:
            order = torch.arange(pictures).roll(shift)
            for here in torch.split(torch.arange(pictures), self.batch):
                there = order[here]
                a, b = ([layer[w] for layer in photos.layers] for w in (here, there))
                content.append(feature_distance(a, b))
                edges.append(edge_difference(photos.edges[here], photos.edges[there]))
        return {
            "content": float(torch.cat(content).mean()),
            "edges": float(torch.cat(edges).mean()),
        }

    def _path(self, cache: Path, picture: Tensor, source: Tensor | None) -> Path:
        digest = hashlib.sha256(f"{FORMAT} {self.backbone.name} {list(picture.shape)}".encode())
        digest.update(picture.contiguous().numpy().tobytes())
        if source is not None:
            digest.update(b"of source")
            digest.update(source.contiguous().numpy().tobytes())
        name = digest.hexdigest()[:32]
        return cache / name[:2] / f"{name}.npz"


def default_cache() -> Path:
    """Return the folder of cached measurements: LGT_CACHE, else the platform's cache folder."""
    named = os.environ.get("LGT_CACHE", "").strip()
    if named:
        return Path(named).expanduser() / "metrics"
    from platformdirs import user_cache_path

    return user_cache_path("lgt", appauthor=False) / "metrics"


def _grey(images: Tensor) -> Tensor:
    return matched_luminance(images).expand(-1, 3, -1, -1)


def _patches(layer: Tensor) -> NDArray[np.float32]:
    """Return the channel vectors on a regular grid, `[N, GRID^2, C]`."""
    height, width = layer.shape[-2:]
    steps = (torch.arange(GRID) + 0.5) / GRID
    rows, columns = (steps * height).long(), (steps * width).long()
    grid = layer[:, :, rows][..., columns]
    return np.asarray(grid.flatten(2).transpose(1, 2).float().numpy())


def _join(parts: list[Arrays]) -> Measured:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    depth = len({name for name in joined if name.startswith("grey") and name.endswith("mean")})

    def branch(name: str) -> Branch:
        moments = (
            Moments(joined[f"{name}.{i}.mean"], joined[f"{name}.{i}.second"]) for i in range(depth)
        )
        patches = (joined[f"{name}.{i}.patches"] for i in range(depth))
        return Branch(tuple(moments), tuple(patches))

    content = {name: joined[name].astype(np.float64) for name in CONTENT if name in joined}
    return Measured(branch("colour"), branch("grey"), content)


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
