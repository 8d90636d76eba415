"""Further numbers of a row: they explain the factors and do not enter F."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lgt.metrics.bench import Bench
from lgt.metrics.features import BRANCHES, Branch, Measured, Pictures, as_float
from lgt.metrics.folders import spread
from lgt.metrics.kernel import kernel_distance
from lgt.metrics.patch_swd import patch_swd
from lgt.metrics.spread import paired_distance, pairwise_distance

EXTRAS = {
    "ssim": "structural similarity to the sources; higher keeps more",
    "kernel": "kernel distance of patch features to the works; the photos: 1",
    "grey_kernel": "the same without colour",
    "patch_swd": "sliced Wasserstein distance of pixel patches to the works; the photos: 1",
    "id_swap": "feature distance of a photo's outputs in two styles; two unrelated photos: 1",
    "diversity": "feature distance of two photos' outputs in one style; the two photos: 1",
}
"""Name -> meaning."""

MAX_VECTORS = 500
"""Patch vectors of each side that enter a kernel distance."""


class Extras:
    """Computes the further numbers; what they are relative to is kept."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._photos: dict[str, dict[str, float]] = {}

    def of(
        self, measured: Mapping[str, Measured], pictures: Mapping[str, Pictures]
    ) -> dict[str, dict[str, float]]:
        """Return the numbers of every style, and their mean under `mean`.

        Args:
            measured: Style -> outputs, one per photo in the photos' order.
            pictures: The same, as pictures.
        """
        photos = self.bench.photos
        result: dict[str, dict[str, float]] = {}
        apart = _mean(pairwise_distance(p) for p in photos.colour.patches)
        for style, outputs in measured.items():
            if style not in self._photos:
                self._photos[style] = self._to_works(style, photos, self.bench.data.photos)
            mine = self._to_works(style, outputs, pictures[style])
            result[style] = {
                "ssim": float(outputs.content["ssim"].mean()),
                **{name: value / self._photos[style][name] for name, value in mine.items()},
                "diversity": _mean(pairwise_distance(p) for p in outputs.colour.patches) / apart,
            }
        names = next(iter(result.values()))
        mean = {name: _mean(values[name] for values in result.values()) for name in names}
        if len(measured) > 1:
            mean["id_swap"] = (
                _mean(
                    paired_distance(p, q)
                    for a, b in combinations(measured.values(), 2)
                    for p, q in zip(a.colour.patches, b.colour.patches, strict=True)
                )
                / apart
            )
        return {"mean": mean, **result}

    def _to_works(self, style: str, measured: Measured, pictures: Pictures) -> dict[str, float]:
        works = self.bench.works[style]
        kernels = [_kernel(getattr(measured, name), getattr(works, name)) for name in BRANCHES]
        real = as_float(self.bench.real_pictures(style))
        return {
            "kernel": kernels[0],
            "grey_kernel": kernels[1],
            "patch_swd": patch_swd(as_float(pictures), real),
        }


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def _kernel(branch: Branch, works: Branch) -> float:
    """Return the kernel distance, mean over layers; channels scaled by the works' deviation."""
    distances = []
    for mine, real in zip(branch.patches, works.patches, strict=True):
        centre, scale = real.mean((0, 1)), real.std((0, 1)) + 1e-6
        x, y = (_vectors((patches - centre) / scale) for patches in (mine, real))
        distances.append(kernel_distance(x, y))
    return float(np.mean(distances))


def _vectors(patches: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    return flat[spread(range(len(flat)), MAX_VECTORS)]
