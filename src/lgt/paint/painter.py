"""The painter: a model on an engine, which paints recipes and says how it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from PIL import Image

from lgt.image import limit_side, soft_mask
from lgt.model.style_file import SUFFIX, AddedStyle
from lgt.model.styles import Style
from lgt.paint.compose import canvas_of, color_of, layered, paint, part_of
from lgt.paint.controls import Progress
from lgt.paint.engine import Engine, Transport
from lgt.paint.picture import Picture
from lgt.paint.provenance import FileRecord, Provenance, RegionRecord, short_sha256
from lgt.paint.recipe import Recipe


@dataclass(frozen=True)
class Painter:
    """Paints recipes on an engine."""

    engine: Engine

    def weights(self, style: Style) -> dict[str, float]:
        """Return a style or blend as weights by name.

        Raises:
            InputError: There is no such style.
        """
        weights = self.engine.styles.style_weights(style)  # It may add a style, and a name.
        return {self.engine.styles.style_names[i]: weight for i, weight in weights.items()}

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

    def transport(self, recipe: Recipe, style: Mapping[str, float]) -> Transport:
        """Return how the latents of a recipe are taken to one of its styles.

        Raises:
            InputError: There is no such style.
        """
        styles, source = self.engine.styles, recipe.source_style
        return Transport(
            style=styles.style_weights(style),
            sampler=recipe.sampler or self.engine.sampler,
            source=None if source is None else styles.style_id(source),
            seed=recipe.seed,
            repulsion=recipe.controls.repulsion,
        )

    def paint(
        self,
        image: Image.Image,
        recipe: Recipe,
        progress: Progress | None = None,
        *,
        overwrite: bool = False,
    ) -> Image.Image:
        """Paint a picture: the style, then the regions above it.

        Args:
            image: Of any mode.
            recipe: How to paint.
            progress: Is told the fraction done, in [0, 1]; what it raises stops the work.
            overwrite: Paint over `image` where that spares memory; it is lost then.
        """
        report = progress or (lambda _: None)
        styles = [recipe.style, *(style for _, style in recipe.regions)]
        mask, detail_mask = recipe.mask, recipe.detail_mask
        pictures = []
        for index, style in enumerate(styles):
            part = part_of(report, index / len(styles), (index + 1) / len(styles))
            if style is None:
                pictures.append(limit_side(image, recipe.controls.max_side))
                part(1.0)
                continue
            painted = paint(
                image,
                self.engine,
                self.transport(recipe, style),
                recipe.controls,
                mask=stretched(mask, image.size, recipe, invert=recipe.invert_mask),
                detail_mask=stretched(detail_mask, image.size, recipe),
                progress=part,
                overwrite=overwrite and len(styles) == 1,
            )
            pictures.append(painted)
        base, *layers = pictures
        for picture, (area, _) in zip(layers, recipe.regions, strict=True):
            edge = soft_mask(area.image, image.size, feather=recipe.mask_feather)
            base = layered(base, [(picture, edge)])
        return base

    def provenance(self, recipe: Recipe, photo: FileRecord, **changes: Any) -> Provenance:
        """Return what a picture's file says of how it was made."""
        recipe, facts = self.named(recipe), self.engine.facts
        masks = {"mask": recipe.mask, "detail_mask": recipe.detail_mask}
        sampler, given = recipe.sampler or self.engine.sampler, recipe.controls.detail
        detail = self.engine.detail if given is None else given
        color = color_of(self.engine, recipe.controls)
        differences = {**sampler.differences(facts.trained), **facts.changes}
        if facts.precision != "fp32":
            differences["precision"] = facts.precision
        return Provenance(
            model=facts.model,
            codec=facts.codec,
            device=facts.device,
            input=photo,
            seed=recipe.seed,
            settings={
                "detail": detail,
                "color": color,
                "canvas": canvas_of(self.engine, recipe.controls),
                **recipe.settings,
                **differences,
            },
            added_styles=self._added_styles(recipe),
            masks={name: mask.record for name, mask in masks.items() if mask is not None},
            regions=tuple(
                RegionRecord(mask=mask.record, style=dict(style)) for mask, style in recipe.regions
            ),
            **{"style": None if recipe.style is None else dict(recipe.style), **changes},
        )

    def _named(self, style: Mapping[str, float]) -> dict[str, float]:
        styles = self.engine.styles
        weights: dict[str, float] = {}
        for given, weight in style.items():
            style_id = styles.style_id(given)  # It may add a style, and a name.
            name = styles.style_names[style_id]
            weights[name] = weights.get(name, 0.0) + weight
        return weights

    def _added_styles(self, recipe: Recipe) -> dict[str, FileRecord]:
        named = [recipe.style or {}, *(style for _, style in recipe.regions)]
        names = [*chain.from_iterable(named), recipe.source_style]
        added = self.engine.styles.added_styles
        return {name: record_of(added[name]) for name in names if name in added}


def stretched(
    mask: Picture | None, size: tuple[int, int], recipe: Recipe, *, invert: bool = False
) -> Image.Image | None:
    """Return a mask of a recipe as it is used: of the picture's size, with soft borders."""
    if mask is None:
        return None
    return soft_mask(mask.image, size, invert=invert, feather=recipe.mask_feather)


def record_of(style: AddedStyle) -> FileRecord:
    """Return what provenance keeps of an added style."""
    name = f"{style.name}{SUFFIX}" if style.path is None else style.path.name
    return FileRecord(name=name, sha256=short_sha256(style.code.tobytes()))
