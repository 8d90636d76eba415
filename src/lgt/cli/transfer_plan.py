"""Which pictures `lgt transfer` paints of a photo, and the model that paints them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.files import refuse_unwritable
from lgt.names import file_part
from lgt.seeds import check_seed
from lgt.stores import address_of

if TYPE_CHECKING:
    from lgt.cli.transfer_job import Job
    from lgt.model.style_book import StyleBook
    from lgt.paint.painter import Painter
    from lgt.paint.picture import Picture
    from lgt.paint.recipe import Recipe
    from lgt.runtime.open import Wish

ALL = "all"
"""Asks for a picture of every style but the photos' own."""


@dataclass(frozen=True)
class Plan:
    """One picture to paint."""

    label: str
    recipe: Recipe

    @property
    def slug(self) -> str:
        """The label as part of a file's name."""
        return file_part(self.label.replace(" + ", "-").replace(" seed", "_seed").replace(" ", ""))


def load_painter(job: Job) -> Painter:
    """Load the model of a job, on the engine that suits it, and its codec.

    Raises:
        InputError: There is no such model, or no result could be written.
    """
    from lgt.paint.painter import Painter
    from lgt.paint.picture import STREAM
    from lgt.runtime.open import open_engine

    if job.output_path != STREAM and address_of(job.output_path) is None:
        is_folder = job.is_in_folder or job.is_many
        refuse_unwritable(job.output_path if is_folder else job.output_path.parent)
    return Painter(open_engine(wish_of(job), lambda text: echo(text, err=True)))


def wish_of(job: Job) -> Wish:
    """Return the model that a job asks for."""
    from lgt.runtime.open import Wish

    return Wish(
        model=job.model,
        backend=job.backend,
        device=job.device,
        precision=job.precision,
        codec=job.codec,
        changes=tuple(job.set_ or ()),
        sampler=job.sampler,
        refines=bool(job.controls.get("refine")),
    )


def plan_pictures(job: Job, painter: Painter, masks: dict[Path, Picture]) -> list[Plan]:
    """Return the pictures to paint of a photo: every style with every seed."""
    from lgt.paint.controls import Controls
    from lgt.paint.recipe import Recipe

    styles = painter.engine.styles
    source = None if job.source_style is None else styles.style_id(job.source_style)
    recipe = Recipe(
        style=None,
        seed=job.seed,
        source_style=None if source is None else styles.style_names[source],
        controls=Controls(**job.controls),
        mask=None if job.mask is None else masks[job.mask],
        detail_mask=None if job.detail_mask is None else masks[job.detail_mask],
        invert_mask=job.invert_mask,
        mask_feather=job.mask_feather,
        regions=tuple((masks[path], painter.weights(style)) for path, style in job.regions),
    )
    check_seed(job.seed + job.variants - 1)
    chosen = _styles(job, painter, source)
    if job.variants == 1:
        return [Plan(label, replace(recipe, style=style)) for label, style in chosen]
    if not painter.engine.sampler.is_random:
        raise InputError(
            "--variants: this sampler draws no noise, so all pictures would be the same; add "
            "--temperature_lambda 0.3 --num_steps 4"
        )
    return [
        Plan(f"{label} seed{seed}", replace(recipe, style=style, seed=seed))
        for label, style in chosen
        for seed in range(job.seed, job.seed + job.variants)
    ]


def _styles(
    job: Job, painter: Painter, source: int | None
) -> list[tuple[str, dict[str, float] | None]]:
    """Return the styles or blends to give, with their labels."""
    from lgt.model.styles import parse_blend, style_label

    if job.interpolate:
        blends = _path_of_blends(job, painter)
    elif job.blend is not None:
        blends = [painter.weights(parse_blend(job.blend))]
    elif job.style is None:
        return [("regions", None)]
    elif job.is_list:
        blends = [painter.weights(i) for i in _style_ids(painter.engine.styles, job.style, source)]
    else:
        blends = [painter.weights(job.style)]
    return [(style_label(weights), weights) for weights in blends]


def _path_of_blends(job: Job, painter: Painter) -> list[dict[str, float]]:
    """Return blends at even distances on the way from the first style over all to the last."""
    ids = [painter.engine.styles.style_id(name) for name in job.interpolate]
    if len(ids) < 2:
        raise InputError("--interpolate needs two styles or more, such as monet,vangogh")
    blends = []
    for index in range(job.interpolate_steps):
        at = index * (len(ids) - 1) / (job.interpolate_steps - 1)
        leg = min(int(at), len(ids) - 2)
        first, second = ids[leg], ids[leg + 1]
        blend = {first: 1 - (at - leg), second: at - leg} if first != second else {first: 1.0}
        blends.append(painter.weights(blend))
    return blends


def _style_ids(styles: StyleBook, style: str | int, source: int | None) -> list[int]:
    """Return the ids of `all` (without the source's own style) or of a list, each once."""
    if style == ALL:
        ids = [styles.style_id(name) for name in styles.painted_styles]
        return [i for i in ids if i != source] or ids
    return list(dict.fromkeys(styles.style_id(word.strip()) for word in str(style).split(",")))
