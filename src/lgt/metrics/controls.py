"""Controls: results that need no model, without which no number means anything."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lgt.codec import LatentCodec
from lgt.files import atomic_write
from lgt.image import to_image, to_tensor
from lgt.metrics.bench import Data
from lgt.metrics.features import Pictures, as_float

CONTROLS = {
    "IDT": "the photo itself",
    "RT": "the photo after a round trip through the codec",
    "TGT": "a random unseen work of the style",
    "TRN": "a random training work of the style: what a perfect imitator would score",
    "MIX": "a 50/50 blend of the photo and a training work: junk that must not win",
}
"""Name of a control -> what it is."""


def make_controls(
    data: Data, round_trips: Pictures | None, seed: int = 0
) -> Iterator[tuple[str, dict[str, Pictures]]]:
    """Yield every control's name and its pictures of each style, uint8 `[N, 3, H, W]`.

    Args:
        data: Photos and works. Without training works of a style, unseen ones take their place.
        round_trips: The photos after the codec; None: RT is left out.
        seed: Of the choice of works.
    """
    count = len(data.photos)
    yield "IDT", dict.fromkeys(data.unseen, data.photos)
    if round_trips is not None:
        yield "RT", dict.fromkeys(data.unseen, round_trips)
    unseen = {s: random_works(works, count, f"{seed} TGT {s}") for s, works in data.unseen.items()}
    yield "TGT", unseen
    seen = {
        s: random_works(data.seen.get(s, works), count, f"{seed} TRN {s}")
        for s, works in data.unseen.items()
    }
    yield "TRN", seen
    yield "MIX", {s: blend(data.photos, works) for s, works in seen.items()}


def random_works(works: Pictures, count: int, seed: str) -> Pictures:
    """Draw `count` works at random, each as often as any other (to within one)."""
    generator = random.Random(seed)
    order: list[int] = []
    while len(order) < count:
        order += generator.sample(range(len(works)), len(works))
    return works[order[:count]]


def blend(photos: Pictures, works: Pictures) -> Pictures:
    """Return the mean of each photo and its work."""
    return ((photos.float() + works.float()) / 2).round().to(torch.uint8)


def cached_round_trip(photos: Pictures, codec: LatentCodec, cache: Path | None) -> Pictures:
    """Return :func:`round_trip`, kept on disk if the codec's weights have a fingerprint."""
    if cache is None or not codec.spec.fingerprint:
        return round_trip(photos, codec)
    digest = hashlib.sha256(f"{codec.spec} {list(photos.shape)}".encode())
    digest.update(photos.contiguous().numpy().tobytes())
    path = cache / "round_trips" / f"{digest.hexdigest()[:32]}.npy"
    if path.exists():
        return torch.from_numpy(np.load(path, allow_pickle=False))
    result = round_trip(photos, codec)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, result.numpy(), allow_pickle=False)
    return result


@torch.inference_mode()
def round_trip(photos: Pictures, codec: LatentCodec, batch: int = 8) -> Pictures:
    """Encode and decode photos; sizes that the codec does not divide are padded meanwhile."""
    height, width = photos.shape[-2:]
    factor = codec.spec.downscale
    parts = []
    for part in torch.split(photos, batch):
        padding = (0, -width % factor, 0, -height % factor)
        images = torch.nn.functional.pad(as_float(part), padding, mode="replicate")
        decoded = codec.decode(codec.encode(images))[..., :height, :width]
        parts.append(torch.cat([(to_tensor(to_image(i)) * 255).round() for i in decoded]))
    return torch.cat(parts).to(torch.uint8)
