"""LPIPS, ST-LPIPS, FID, CLIP and DINO, where the user has their packages and weights.

These names are kept for what those packages compute; the project's own numbers have others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lgt.errors import InputError
from lgt.metrics.features import Pictures, as_float

External = Callable[[Pictures, Pictures, Pictures], float]
"""Outputs, their sources and real works -> a number."""

PACKAGES = {
    "lpips": "lpips",
    "st-lpips": "stlpips-pytorch",
    "fid": "torchmetrics[image]",
    "clip": "open_clip_torch",
    "dino": "timm",
}
"""Name of a metric -> what to install."""

BATCH = 8
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def load_external(name: str) -> External:
    """Load one metric.

    `lpips`: LPIPS (AlexNet) to the sources. `st-lpips`: the same, tolerant of small shifts. `fid`:
    FID to the works (biased for few pictures).
    `clip`, `dino`: cosine similarity to the sources of CLIP ViT-B/32 and DINO ViT-S/16 vectors.

    Raises:
        InputError: The name is not known, its package is not installed, or its weights are not
            here and can not be fetched.
    """
    if name not in PACKAGES:
        raise InputError(f"unknown metric '{name}'; choose from {', '.join(PACKAGES)}")
    try:
        return _LOADERS[name]()
    except ImportError as error:
        raise InputError(
            f"metric {name}: {error.name} is not installed: pip install '{PACKAGES[name]}'"
        ) from error
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"metric {name}: its weights are not here and could not be fetched "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); connect to "
            "the network once, or leave the metric out"
        ) from error


def _lpips() -> External:
    import lpips

    network = lpips.LPIPS(net="alex", verbose=False).eval()
    return _of_pairs(lambda a, b: network(a * 2 - 1, b * 2 - 1))


def _st_lpips() -> External:
    from lgt.metrics.shift_tolerant import ShiftTolerantLPIPS

    return _of_pairs(ShiftTolerantLPIPS.load())


def _of_pairs(distance: Callable[[Tensor, Tensor], Tensor]) -> External:
    """Return the mean distance of outputs to their sources, both in [0, 1]."""

    @torch.inference_mode()
    def metric(outputs: Pictures, sources: Pictures, _: Pictures) -> float:
        pairs = zip(torch.split(outputs, BATCH), torch.split(sources, BATCH), strict=True)
        values = [distance(as_float(a), as_float(b)).flatten() for a, b in pairs]
        return float(torch.cat(values).mean())

    return metric


def _fid() -> External:
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = FrechetInceptionDistance(feature=2048)

    @torch.inference_mode()
    def metric(outputs: Pictures, _: Pictures, works: Pictures) -> float:
        network.reset()
        for pictures, real in ((works, True), (outputs, False)):
            for batch in torch.split(pictures, BATCH):
                network.update(batch, real=real)
        return float(network.compute())

    return metric


def _clip() -> External:
    import open_clip

    network = open_clip.create_model("ViT-B-32", pretrained="openai").eval()
    return _cosine(network.encode_image, CLIP)


def _dino() -> External:
    import timm

    network = timm.create_model("vit_small_patch16_224.dino", pretrained=True, num_classes=0)
    return _cosine(network.eval(), IMAGENET)


def _cosine(encode: Callable[[Tensor], Any], scaling: tuple[tuple[float, ...], ...]) -> External:
    """Return the mean cosine similarity of image vectors at 224 x 224 pixels."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in scaling)

    @torch.inference_mode()
    def vectors(pictures: Pictures) -> Tensor:
        parts = []
        for batch in torch.split(pictures, BATCH):
            images = F.interpolate(
                as_float(batch), (224, 224), mode="bicubic", antialias=True, align_corners=False
            )
            parts.append(
                F.normalize(encode((images.clamp(0, 1) - mean) / deviation).float(), dim=1)
            )
        return torch.cat(parts)

    def metric(outputs: Pictures, sources: Pictures, _: Pictures) -> float:
        return float((vectors(outputs) * vectors(sources)).sum(1).mean())

    return metric


_LOADERS: Mapping[str, Callable[[], External]] = {
    "lpips": _lpips,
    "st-lpips": _st_lpips,
    "fid": _fid,
    "clip": _clip,
    "dino": _dino,
}
