"""Paint many photos on many processes and machines: the same steps as stages of Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.batch.photos import (
    Read,
    Reading,
    Result,
    metadata_of,
    paint_one,
    reason_of,
    write_picture,
)
from lgt.batch.sources import Work
from lgt.cluster import Spread, Stages, through
from lgt.model.style_file import AddedStyle
from lgt.paint.painter import Painter
from lgt.paint.recipe import Recipe
from lgt.runtime.open import Wish, open_engine
from lgt.stores import anywhere

Painted = list[tuple[Result, Image.Image | None, dict[str, Any]]]
"""Results of one photo, with the pictures that are to be written and what their files say."""


def stylize_on_ray(
    painter: Painter,
    wish: Wish,
    works: Sequence[Work],
    recipes: Mapping[str, Recipe],
    spread: Spread,
    *,
    overwrite: bool = False,
    has_metadata: bool = True,
) -> Generator[Result, None, None]:
    """Paint as `stylize_files` does; yield results in the order in which they are there.

    Args:
        painter: Says what pictures that are there already would be; paints none.
        wish: What its model is opened by, here and in the processes that paint.
        works: From `plan_works`.
        recipes: By the labels of the works.
        spread: Where.
        overwrite: See `stylize_files`.
        has_metadata: See `stylize_files`.
    """
    recipes = {label: painter.named(recipe) for label, recipe in recipes.items()}
    # Other machines are to do what is expected here, and not what `auto` means there.
    wish = replace(wish, precision=painter.engine.facts.precision)
    added = tuple(painter.engine.styles.added_styles.values())
    stages = Stages(
        _Numbered(Reading.of(painter, recipes, is_anew=overwrite or not has_metadata)),
        _Painting(_anywhere(wish), added, recipes, has_metadata),
        _write,
    )
    rows = [(number, _absolute(work)) for number, work in enumerate(works)]
    for number, results in through(rows, stages, spread):
        work = works[number]
        for result in results:
            # Named as the user did, not as other processes find them.
            yield replace(result, photo=work.photo, output=work.outputs[result.label])


@dataclass(frozen=True)
class _Numbered:
    """Reads a work, and keeps its number."""

    read: Reading

    def __call__(self, row: tuple[int, Work]) -> tuple[int, Read]:
        return row[0], self.read(row[1])


@dataclass(frozen=True)
class _Painting:
    """Opens a model, and returns what paints with it."""

    wish: Wish
    added: tuple[AddedStyle, ...]
    recipes: Mapping[str, Recipe]
    has_metadata: bool

    def __call__(self) -> Callable[[list[tuple[int, Read]]], Iterator[tuple[int, Painted]]]:
        painter = Painter(open_engine(self.wish))
        for style in self.added:
            painter.engine.styles.add_style(style)
        return lambda rows: ((number, self._paint(painter, item)) for number, item in rows)

    def _paint(self, painter: Painter, item: Read) -> Painted:
        painted: Painted = []
        for label, output in item.work.outputs.items():
            recipe = self.recipes[label]
            result, picture = paint_one(painter, recipe, item, label, output)
            metadata: dict[str, Any] = {}
            if self.has_metadata and picture is not None and item.picture is not None:
                metadata = metadata_of(painter, recipe, item.picture)
            painted.append((result, picture, metadata))
        return painted


def _write(row: tuple[int, Painted]) -> tuple[int, list[Result]]:
    results = []
    for result, picture, metadata in row[1]:
        done = result
        if picture is not None:
            try:
                write_picture(picture, result.output, metadata)
            except Exception as error:  # Such as a full disk.
                done = replace(result, size=None, seconds=0.0, problem=reason_of(error))
        results.append(done)
    return row[0], results


def _absolute(work: Work) -> Work:
    photo = replace(work.photo, path=anywhere(work.photo.path))
    return Work(photo, {label: anywhere(path) for label, path in work.outputs.items()})


def _anywhere(wish: Wish) -> Wish:
    """Return a wish whose files are named in full: other processes work elsewhere."""
    codec = None if wish.codec is None else _full(wish.codec)
    return replace(wish, model=_full(wish.model), codec=codec)


def _full(name: str) -> str:
    return str(Path(name).absolute()) if Path(name).exists() else name
