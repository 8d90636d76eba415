"""How far each style still is from its works: which one needs more steps, or less of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from lgt.energy import CollectionDistance
from lgt.energy.gaussian import READY, GaussianTransport, gaussian_wasserstein_sq
from lgt.report.log import DISTANCE


@torch.no_grad()
def distances_to_works(collection: object, style_names: Sequence[str]) -> dict[str, float]:
    """Return a column for each style but the photos': where its outputs of lately are.

    The squared Frechet distance of features of positions, the mean over layers: 1 is where the
    photos are, 0 where the works are; NaN before enough outputs were seen. Computed in float64 on
    the CPU, whatever the device.

    Args:
        collection: The distance of collections, with its running moments; no column without one.
        style_names: Of all styles.
    """
    if not isinstance(collection, CollectionDistance):
        return {}
    layers = [cast(GaussianTransport, layer) for layer in collection.positions]
    found = {}
    for style, name in enumerate(style_names):
        if style != collection.origin:
            is_ready = float(layers[0].seen.weight[style]) > READY
            values = [_distance(layer, style) for layer in layers] if is_ready else [float("nan")]
            found[DISTANCE + name] = sum(values) / len(values)
    return found


def _distance(layer: GaussianTransport, style: int) -> float:
    seen = layer.seen
    weight, first, second, mean, covariance, unit = (
        of_styles[style].cpu().double()
        for of_styles in (
            seen.weight,
            seen.first,
            seen.second,
            layer.means,
            layer.covariances,
            layer.units,
        )
    )
    centre = first / weight
    spread = second / weight - torch.outer(centre, centre)
    return float(gaussian_wasserstein_sq(centre, spread, mean, covariance) / unit)
