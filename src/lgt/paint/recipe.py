"""Recipes: all that decides a picture besides the photo and the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lgt.codec import LatentCodec
from lgt.config import config_to_dict
from lgt.errors import InputError
from lgt.image import soft_mask
from lgt.model.style_file import SUFFIX, AddedStyle
from lgt.paint.control import Controls, Progress, layered, limit_side, part_of
from lgt.paint.picture import Picture
from lgt.paint.provenance import CodecRecord, FileRecord, Provenance, RegionRecord, short_sha256
from lgt.paint.sampler import idle_keys
from lgt.paint.transfer import LGTInference

_TRAINING_KEYS = ("objective", "solver", "start")
"""Keys of `training` that a transfer follows."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to paint, for any photo."""

    style: Mapping[str, float] | None
    """Weight of each style by name; None: the photo (below the regions)."""
    seed: int = 0
    source_style: str | None = None
    controls: Controls = field(default_factory=Controls)
    mask: Picture | None = None
    """White is painted; stretched to the photo."""
    detail_mask: Picture | None = None
    invert_mask: bool = False
    mask_feather: float = 0.0
    """Blur of the borders of all masks, in pixels of the photo."""
    regions: tuple[tuple[Picture, Mapping[str, float]], ...] = ()
    """Masks and their styles, lowest first."""

    def __post_init__(self) -> None:
        if not self.mask_feather >= 0:
            raise InputError(f"mask_feather must be at least 0 pixels (got {self.mask_feather})")

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, without masks, as JSON holds it."""
        plain = asdict(Controls())
        changed = {k: v for k, v in asdict(self.controls).items() if v != plain[k]}
        values = {
            "source_style": self.source_style,
            "invert_mask": self.invert_mask,
            "mask_feather": self.mask_feather,
        }
        return changed | {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Painter:
    """A model with a codec, which paints recipes and says how it did."""

    lgt: LGTInference
    codec: LatentCodec

    def weights(self, style: Any) -> dict[str, float]:
        """Return a style or blend as weights by name.

        Raises:
            InputError: There is no such style.
        """
        weights = self.lgt.style_weights(style)  # It may add a style, and a name.
        return {self.lgt.style_names[i]: weight for i, weight in weights.items()}

    def named(self, recipe: Recipe) -> Recipe:
        """Return a recipe with all styles by the model's names; style files are taken in.

        Raises:
            InputError: There is no such style.
        """
        source = recipe.source_style
        return replace(
            recipe,
            style=None if recipe.style is None else self._named(recipe.style),
            source_style=None if source is None else next(iter(self._named({source: 1.0}))),
            regions=tuple((mask, self._named(style)) for mask, style in recipe.regions),
        )

    def paint(
        self, image: Image.Image, recipe: Recipe, progress: Progress | None = None
    ) -> Image.Image:
        """Paint a picture: the style, then the regions above it.

        Args:
            image: Of any mode.
            recipe: How to paint.
            progress: Is told the fraction done, in [0, 1]; what it raises stops the work.
        """
        report = progress or (lambda _: None)
        styles = [recipe.style, *(style for _, style in recipe.regions)]
        options = asdict(recipe.controls) | {"source_style": recipe.source_style}
        for name in ("mask", "detail_mask"):
            mask = getattr(recipe, name)
            options[name] = None if mask is None else self._mask(mask, image, recipe, name)
        pictures = []
        for index, style in enumerate(styles):
            part = part_of(report, index / len(styles), (index + 1) / len(styles))
            if style is None:
                pictures.append(limit_side(image, recipe.controls.max_side))
                part(1.0)
                continue
            pictures.append(
                self.lgt.stylize(
                    image, style, codec=self.codec, seed=recipe.seed, progress=part, **options
                )
            )
        masks = [self._mask(mask, image, recipe, "region") for mask, _ in recipe.regions]
        return layered(pictures[0], list(zip(pictures[1:], masks, strict=True)))

    def provenance(self, recipe: Recipe, photo: FileRecord, **changes: Any) -> Provenance:
        """Return what a picture's file says of how it was made."""
        recipe = self.named(recipe)
        masks = {"mask": recipe.mask, "detail_mask": recipe.detail_mask}
        return Provenance(
            model=FileRecord(name=self.lgt.model_name, sha256=self.lgt.fingerprint),
            codec=self._codec_record,
            device=self.lgt.device.type,
            input=photo,
            seed=recipe.seed,
            settings={"detail": self._detail(recipe), **recipe.settings, **self._model_settings},
            added_styles=self._added_styles(recipe),
            masks={name: mask.record for name, mask in masks.items() if mask is not None},
            regions=tuple(
                RegionRecord(mask=mask.record, style=dict(style)) for mask, style in recipe.regions
            ),
            **{"style": None if recipe.style is None else dict(recipe.style), **changes},
        )

    def _detail(self, recipe: Recipe) -> float:
        given = recipe.controls.detail
        return self.lgt.config.inference.detail if given is None else given

    def _named(self, style: Mapping[str, float]) -> dict[str, float]:
        weights: dict[str, float] = {}
        for given, weight in style.items():
            style_id = self.lgt.style_id(given)  # It may add a style, and a name.
            name = self.lgt.style_names[style_id]
            weights[name] = weights.get(name, 0.0) + weight
        return weights

    def _added_styles(self, recipe: Recipe) -> dict[str, FileRecord]:
        named = [recipe.style or {}, *(style for _, style in recipe.regions)]
        names = [*chain.from_iterable(named), recipe.source_style]
        added = self.lgt.added_styles
        return {name: record_of(added[name]) for name in names if name in added}

    @cached_property
    def _codec_record(self) -> CodecRecord:
        spec = self.codec.spec
        path = Path(spec.source.removeprefix("taesd:").partition("#")[0]).expanduser()
        is_folder = path.is_absolute() or path.exists() or spec.source.startswith(".")
        return CodecRecord(
            name=path.name if is_folder else spec.name,
            fingerprint=spec.fingerprint,
            source=None if is_folder else spec.source,
        )

    @cached_property
    def _model_settings(self) -> dict[str, Any]:
        """Configuration keys that act and are not as in training, and the number format."""
        now, then = config_to_dict(self.lgt.config), config_to_dict(self.lgt.trained_config)
        acting = now["inference"].keys() - idle_keys(self.lgt.config)
        keys = {
            **{f"inference.{key}": ("inference", key) for key in sorted(acting)},
            **{f"training.{key}": ("training", key) for key in _TRAINING_KEYS},
            "data.source_subdirs": ("data", "source_subdirs"),
        }
        changed = {name: now[a][b] for name, (a, b) in keys.items() if now[a][b] != then[a][b]}
        return changed if self.lgt.dtype == torch.float32 else changed | {"precision": "bf16"}

    def _mask(self, mask: Picture, image: Image.Image, recipe: Recipe, name: str) -> Image.Image:
        invert = recipe.invert_mask and name == "mask"
        return soft_mask(mask.image, image.size, invert=invert, feather=recipe.mask_feather)


def record_of(style: AddedStyle) -> FileRecord:
    """Return what provenance keeps of an added style."""
    name = f"{style.name}{SUFFIX}" if style.path is None else style.path.name
    return FileRecord(name=name, sha256=short_sha256(style.code.cpu().float().numpy().tobytes()))


def recipe_of(made: Provenance, find_mask: Callable[[FileRecord], Picture]) -> Recipe:
    """Return the recipe that a picture was painted by.

    Args:
        made: What the picture's file says.
        find_mask: Reads a mask again.

    Raises:
        InputError: It is a sheet, or holds settings that this version does not know.
    """
    if made.sheet:
        raise InputError("this is a sheet of several pictures; replay the single pictures")
    settings = {k: v for k, v in made.settings.items() if "." not in k and k != "precision"}
    controls = {k: settings.pop(k) for k in asdict(Controls()) if k in settings}
    own = ("source_style", "invert_mask", "mask_feather", "mask", "detail_mask")
    unknown = sorted({*settings, *made.masks} - {*own})
    if unknown:
        raise InputError(
            f"the settings {', '.join(unknown)} are of another version of LGT "
            f"({made.lgt_version}); replay with that version"
        )
    values = settings | {kind: find_mask(record) for kind, record in made.masks.items()}
    return Recipe(
        style=made.style,
        seed=made.seed,
        controls=Controls(**controls),
        regions=tuple((find_mask(region.mask), region.style) for region in made.regions),
        **values,
    )
