"""How an image network sees the works of each style: what a model keeps of them to refine with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lgt.errors import InputError
from lgt.exact import exact_matmul

MEANS, COVARIANCES = "means", "covariances"
AFAR = "afar."
MOST_CHANNELS = 4096
"""Of a layer: beyond any network that looks at pictures here."""


@dataclass(frozen=True)
class WorksGaussians:
    """Gaussians of the features of each style's works, one for each layer."""

    means: tuple[Float[Tensor, "K _"], ...]
    covariances: tuple[Float[Tensor, "K _ _"], ...]
    afar: WorksGaussians | None = None
    """Those of whole works, shrunk to the size of a window; these are of windows."""

    @property
    def num_styles(self) -> int:
        """K."""
        return len(self.means[0])

    def blended(self, weights: Mapping[int, float]) -> WorksGaussians:
        """Return the Gaussians, K = 1, in between some styles; weights sum to 1."""
        rows = list(weights)
        shares = torch.tensor([weights[row] for row in rows])
        return WorksGaussians(
            tuple((shares[:, None] * m[rows]).sum(0, keepdim=True) for m in self.means),
            tuple((shares[:, None, None] * c[rows]).sum(0, keepdim=True) for c in self.covariances),
            self.afar and self.afar.blended(weights),
        )

    def joined(self, other: WorksGaussians) -> WorksGaussians:
        """Return these with the styles of others behind; from afar only if all are known so.

        Raises:
            InputError: They are of other layers.
        """
        if [m.shape[1] for m in self.means] != [m.shape[1] for m in other.means]:
            raise InputError("what is kept of the works is of other image networks")
        return WorksGaussians(
            tuple(torch.cat(pair) for pair in zip(self.means, other.means, strict=True)),
            tuple(
                torch.cat(pair) for pair in zip(self.covariances, other.covariances, strict=True)
            ),
            self.afar and other.afar and self.afar.joined(other.afar),
        )

    def rows(self, rows: Sequence[int]) -> WorksGaussians:
        """Return those of some styles."""
        return WorksGaussians(
            tuple(m[list(rows)] for m in self.means),
            tuple(c[list(rows)] for c in self.covariances),
            self.afar and self.afar.rows(rows),
        )

    def packed(self) -> dict[str, Tensor]:
        """Return plain tensors by name, of each covariance the triangle that decides it."""
        named = {f"{MEANS}.{i}": m.float().contiguous() for i, m in enumerate(self.means)}
        for i, covariance in enumerate(self.covariances):
            row, column = torch.tril_indices(*covariance.shape[1:])
            named[f"{COVARIANCES}.{i}"] = covariance[:, row, column].float().contiguous()
        if self.afar is not None:
            named |= {f"{AFAR}{name}": tensor for name, tensor in self.afar.packed().items()}
        return named

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> WorksGaussians:
        """Read what :meth:`packed` gave.

        Raises:
            InputError: It is damaged.
        """
        far = {n.removeprefix(AFAR): t for n, t in tensors.items() if n.startswith(AFAR)}
        if any(name.startswith(AFAR) for name in far):
            raise InputError("works: from afar of what is from afar; the file is damaged")
        if far and len(far) < len(tensors):
            near = cls.unpacked({n: t for n, t in tensors.items() if not n.startswith(AFAR)})
            afar = cls.unpacked(far)
            if [m.shape for m in afar.means] != [m.shape for m in near.means]:
                raise InputError("works: other layers or styles from afar; the file is damaged")
            return replace(near, afar=afar)
        means, covariances = [], []
        for i in range(len(tensors) // 2):
            mean, triangle = (tensors.get(f"{name}.{i}") for name in (MEANS, COVARIANCES))
            if mean is None or triangle is None or mean.ndim != 2:
                raise InputError(f"works: layer {i} is missing or damaged")
            styles, size = mean.shape
            if size > MOST_CHANNELS or triangle.shape != (styles, size * (size + 1) // 2):
                raise InputError(
                    f"works: layer {i} has covariances {list(triangle.shape)} for means "
                    f"{list(mean.shape)}; the file is damaged"
                )
            if not (torch.isfinite(mean).all() and torch.isfinite(triangle).all()):
                raise InputError(f"works: layer {i} holds values that are not finite")
            row, column = torch.tril_indices(size, size)
            covariance = triangle.new_zeros(styles, size, size, dtype=torch.float32)
            covariance[:, row, column] = triangle.float()
            covariance[:, column, row] = triangle.float()
            means.append(mean.float())
            covariances.append(covariance)
        if not means or len({len(mean) for mean in means}) > 1:
            raise InputError("works: no layers, or layers of different styles; the file is damaged")
        return cls(tuple(means), tuple(covariances))


class WorksMoments:
    """First and second moments of each layer's points, style by style.

    Args:
        num_styles: K.
    """

    def __init__(self, num_styles: int) -> None:
        self.num_styles = num_styles
        self._layers: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, layers: Sequence[Float[Tensor, "B _ _"]], style_ids: Int[Tensor, " B"]) -> None:
        """Take the points of some works in."""
        for index, points in enumerate(layers):
            size = points.shape[-1]
            if index == len(self._layers):
                empty = points.new_zeros(self.num_styles, size, size, dtype=torch.float64)
                self._layers.append((empty[:, 0, 0].clone(), empty[:, 0].clone(), empty))
            count, first, second = self._layers[index]
            for row, kind in zip(points, style_ids.tolist(), strict=True):
                count[kind] += len(row)
                first[kind] += row.sum(0)
                second[kind] += exact_matmul(row.T, row)

    def gaussians(self) -> WorksGaussians:
        """Return their Gaussians, in float64 where the points are."""
        means, covariances = [], []
        for count, first, second in self._layers:
            mean = first / count[:, None]
            means.append(mean)
            squares = mean[:, :, None] * mean[:, None, :]
            covariances.append(second / count[:, None, None] - squares)
        return WorksGaussians(tuple(means), tuple(covariances))
