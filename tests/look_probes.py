"""Quantities of what the energy looks at, and with what, each a function of the configuration."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from toys import dataset, objective

from lgt.build import (
    build_bank,
    build_collection,
    build_energy,
    build_perceptual_network,
    build_works,
)
from lgt.codec.spec import CodecSpec
from lgt.config import Config
from lgt.image import to_image
from lgt.image.edges import edge_map, gradient_magnitude
from lgt.nn.decoded import DecodedFeatures
from lgt.nn.perceptual import FeatureMaps


def edge_energy(settings: Config) -> float:
    """Evaluate the content energy of end states that a network sees as pictures."""
    latents = dataset(size=12)
    _, batch = objective(settings, latents)

    def look(x: torch.Tensor) -> FeatureMaps:
        strong = gradient_magnitude(x[:, :3])
        return FeatureMaps([x], [x], edge_map(x[:, :3]), edge_map(x[:, 1:]), strong)

    features = SimpleNamespace(features=look, content=look)
    bank = build_bank(settings, latents.latents, latents.style_ids)
    found = build_energy(settings, bank, features)  # type: ignore[arg-type]
    labels = batch.target_style_id, batch.source_style_id, batch.index
    terms = found(batch.x_src.flip(3), batch.x_src, *labels, generator=torch.Generator())
    return round(float(terms.content), 6)


def lookers(settings: Config) -> list[str]:
    """Return the variants of the image classifiers that look at decoded pictures."""
    decoded = settings.loss.model_copy(update={"perceptual_network": "decoded"})
    codec = CodecSpec(name="taesd", source="taesd", latent_channels=4)
    found = build_perceptual_network(settings.model_copy(update={"loss": decoded}), codec)
    assert isinstance(found, DecodedFeatures)
    return [str(backbone.name).removeprefix("efficientnet-") for backbone in found.backbones]


class Looker(DecodedFeatures):
    """Decoded features that say what they looked at first."""

    num_branches = 2

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.seen: list[str] = []
        self.sides: list[int] = []

    def _maps(self, x: torch.Tensor, kind: str) -> FeatureMaps:
        self.seen.append(kind)
        self.sides.append(x.shape[-1])
        small = F.adaptive_avg_pool2d(x[:, :3], 4)
        first = torch.cat([small, small[:, :1]], dim=1)
        return FeatureMaps([first, small] * 2, [small])

    def features(self, x: torch.Tensor) -> FeatureMaps:
        return self._maps(x, "latents")

    def content(self, x: torch.Tensor) -> FeatureMaps:
        return self._maps(x, "latents")

    def pictures(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x[:, :3], scale_factor=8.0)

    def features_of_pictures(self, images: torch.Tensor) -> FeatureMaps:
        return self._maps(images, "pictures")

    content_of_pictures = features_of_pictures


def _write_works(settings: Config, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in settings.data.style_subdirs:
        for index in range(count):
            path = Path("works") / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_image(torch.rand(1, 3, 96, 96, generator=generator)).save(path)


def perceptual_with_photos(settings: Config) -> float:
    """Return the feature distance of the sources themselves to their photos."""
    latents, look = dataset(size=12), Looker()
    _write_works(settings, len(latents))
    names = settings.data.style_subdirs
    counts = [0] * len(names)
    paths = []
    for style_id in latents.style_ids.tolist():
        paths.append(Path("latents") / names[style_id] / f"{counts[style_id]}.pt")
        counts[style_id] += 1
    bank = build_bank(settings, latents.latents, latents.style_ids)
    found = build_energy(settings, bank, look, paths)
    _, batch = objective(settings, latents)
    labels = batch.target_style_id, batch.source_style_id, batch.index
    terms = found(batch.x_src, batch.x_src, *labels, generator=torch.Generator())
    return round(float(terms["perceptual"]), 6)


def _collection_look(settings: Config) -> Looker:
    """Build the distance of collections; return what looked for it."""
    latents, look, loss = dataset(size=12), Looker(), {"collection_gain": 1.0}
    _write_works(settings, 3)
    bank = build_bank(settings, latents.latents, latents.style_ids)
    settings = settings.model_copy(update={"loss": settings.loss.model_copy(update=loss)})
    assert build_collection(settings, bank, look, build_works(settings, bank, look))
    return look


def first_reference(settings: Config) -> str:
    """Tell what the distance of collections takes its references from."""
    return _collection_look(settings).seen[0]


def side_of_works(settings: Config) -> int:
    """Return the side of the works' pictures that the distance of collections looks at."""
    return _collection_look(settings).sides[0]
