"""The seam between the server and a model: what the server asks for, and who answers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lgt.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from lgt.paint.painter import Painter
    from lgt.paint.provenance import FileRecord, Provenance
    from lgt.paint.recipe import Recipe
    from lgt.paint.sampler import Sampler
    from lgt.web.settings import Settings

Progress = Callable[[float], None]
"""Gets the finished fraction in [0, 1]; an exception that it raises stops the work."""


@dataclass(frozen=True)
class Style:
    """A style that a model knows."""

    name: str
    picture: Path | bytes | None = None
    """File, or bytes of a JPEG, with a small picture of it."""
    is_painted: bool = True
    """Whether it is worth giving to a photo; the style of photos themselves is not."""
    is_added: bool = False
    """Whether `lgt add-style` gave it to the model."""


class Stylist(Protocol):
    """Whoever turns a photo into a painting."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def styles(self) -> Sequence[Style]:
        """Its styles, by id."""

    @property
    def sample(self) -> Path | None:
        """A photo to try it with."""

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another picture without asking for noise."""

    @property
    def defaults(self) -> Mapping[str, float]:
        """What settings that are left out mean, where the model decides."""

    def stylize(
        self,
        image: Image.Image,
        settings: Settings,
        mask: Image.Image | None,
        progress: Progress,
    ) -> Image.Image:
        """Return the photo in the asked style, of the photo's size and with its alpha.

        Args:
            image: Upright photo, RGB or RGBA; it may be painted over.
            settings: What was asked.
            mask: Mode `L`, of the photo's size; white is stylised.
            progress: Called with fractions.
        """

    def provenance(
        self, settings: Settings, photo: FileRecord, mask: FileRecord | None
    ) -> Provenance | None:
        """Return what the file of a picture says of how it was made; None: nothing.

        Args:
            settings: What was asked, with a seed.
            photo: The uploaded photo.
            mask: The uploaded mask, if there was one.
        """


class ModelStylist:
    """A trained model as a stylist.

    Args:
        model: Checkpoint, or `embedded`.
        codec: Image codec; None: the model's.
        device: `auto`, `cpu`, `cuda` ...
        has_metadata: Whether pictures say how they were made.

    Raises:
        LGTError: The model or its codec can not be loaded.
    """

    def __init__(
        self,
        model: str,
        codec: str | None = None,
        device: str = "auto",
        *,
        has_metadata: bool = True,
    ) -> None:
        from lgt.model.shipped import EMBEDDED, MODEL_FOLDER, SOURCE_NAME, thumbnail
        from lgt.paint.painter import Painter
        from lgt.runtime.open import Wish, can_refine, open_engine

        self._wish = Wish(model=model, codec=codec, device=device)
        engine = open_engine(self._wish)
        self._painter = Painter(engine)
        self._has_metadata = has_metadata
        is_embedded = model == EMBEDDED
        self.name = model if is_embedded else Path(model).name
        self.device = engine.facts.device
        names, painted = engine.styles.style_names, set(engine.styles.painted_styles)
        pictures = {
            name: place for name in names if is_embedded and (place := thumbnail(name)).is_file()
        }
        self._own = tuple(Style(name, pictures.get(name), name in painted) for name in names)
        sample = MODEL_FOLDER / SOURCE_NAME
        self.sample: Path | None = sample if sample.is_file() else None
        self.is_random = engine.sampler.is_random
        self.defaults: Mapping[str, float] = {
            "canvas": engine.canvas,
            "detail": engine.detail,
            "color": engine.color,
            "num_steps": engine.sampler.num_steps,
            "temperature_lambda": engine.sampler.temperature_lambda,
            **({"refine": 0} if can_refine(engine) else {}),
        }

    @property
    def styles(self) -> Sequence[Style]:
        """The model's own, then those that are installed for it now."""
        from lgt.model.style_file import installed_styles

        names = {style.name for style in self._own}
        added = [
            Style(style.name, style.thumbnail, is_added=True)
            for style in installed_styles(self._painter.engine.styles.model_hash)
            if style.name not in names
        ]
        return (*self._own, *added)

    def stylize(
        self,
        image: Image.Image,
        settings: Settings,
        mask: Image.Image | None,
        progress: Progress,
    ) -> Image.Image:
        """Return the photo in the asked style, of the photo's size and with its alpha."""
        recipe = self._recipe(settings, mask)
        return self._painter_of(settings).paint(image, recipe, progress, overwrite=True)

    def provenance(
        self, settings: Settings, photo: FileRecord, mask: FileRecord | None
    ) -> Provenance | None:
        """Return what `lgt transfer` would write into the file of the picture."""
        if not self._has_metadata:
            return None
        made = self._painter_of(settings).provenance(self._recipe(settings, None), photo)
        return made if mask is None else made.model_copy(update={"masks": {"mask": mask}})

    def _painter_of(self, settings: Settings) -> Painter:
        """Return who paints: torch, loaded when it is first needed, where gradients are."""
        return self._refining if settings.refine else self._painter

    @cached_property
    def _refining(self) -> Painter:
        from lgt.paint.painter import Painter
        from lgt.runtime.open import open_engine

        return Painter(open_engine(replace(self._wish, refines=True)))

    def _recipe(self, settings: Settings, mask: Image.Image | None) -> Recipe:
        from lgt.paint.controls import Controls
        from lgt.paint.picture import Picture
        from lgt.paint.recipe import Recipe

        names = [style.name for style in self.styles]

        def named(style: str) -> str:
            is_id = style not in names and style.isdecimal() and int(style) < len(names)
            return names[int(style)] if is_id else style

        blend, source = settings.blend, settings.source_style
        style = named(str(settings.style)) if blend is None else _summed(blend, named)
        return Recipe(
            style=self._painter.weights(style),
            seed=settings.with_seed().seed or 0,
            source_style=None if source is None else named(source),
            sampler=self._sampler(settings),
            controls=Controls(
                strength=settings.strength,
                detail=settings.detail,
                color=settings.color,
                preserve_color=settings.preserve_color,
                canvas=settings.canvas,
                style_scale=settings.style_scale,
                refine=settings.refine,
                max_side=settings.max_side,
                repulsion=settings.repulsion,
            ),
            mask=None if mask is None else Picture("mask", "", mask),
        )

    def _sampler(self, settings: Settings) -> Sampler:
        """Return the sampler that is asked for.

        Raises:
            InputError: The noise that is asked for would have no effect.
        """
        from lgt.paint.sampler import choose_sampler

        engine = self._painter.engine
        sampler, _ = choose_sampler(
            engine.sampler,
            engine.training,
            num_steps=settings.num_steps,
            temperature_lambda=settings.temperature_lambda,
        )
        if settings.temperature_lambda and (note := sampler.noise_note()):
            raise InputError(note[0])
        return sampler


def _summed(blend: Mapping[str, float], named: Callable[[str], str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for style, weight in blend.items():
        weights[named(style)] = weights.get(named(style), 0.0) + weight
    return weights


def check_styles(styles: Sequence[Style], settings: Settings) -> None:
    """Refuse settings that name a style which is not there.

    Raises:
        InputError: Names the styles that there are.
    """
    names = [style.name for style in styles]
    ids = {str(i) for i in range(len(names))}
    wanted = [*settings.named_styles]
    if settings.source_style is not None:
        wanted.append(settings.source_style)
    for name in wanted:
        if name not in names and name not in ids:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise InputError(f"unknown style '{name}'{hint} (styles: {', '.join(names)})")
