"""Which pictures `lgt transfer` paints of a photo, and the model that paints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lgt.errors import InputError
from lgt.seeds import check_seed

if TYPE_CHECKING:
    from lgt.cli.transfer_job import Job
    from lgt.config import Config
    from lgt.paint.picture import Picture
    from lgt.paint.recipe import Painter, Recipe
    from lgt.paint.transfer import LGTInference

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
        return self.label.replace(" + ", "-").replace(" seed", "_seed").replace(" ", "")


def load_painter(
    model: str, codec: str | None, set_: list[str] | None, sampler: dict[str, Any]
) -> Painter:
    """Load a model, with configuration keys changed, and its codec."""
    from lgt.paint.recipe import Painter

    lgt = load_model(model, set_, sampler)
    return Painter(lgt, lgt.load_codec(codec))


def note_guidance(sampler: dict[str, Any], is_guided: bool) -> None:
    """Say so where `--no_cfg` changes nothing."""
    if sampler.get("use_cfg") is False and not is_guided:
        typer.echo("note: --no_cfg changes nothing: this model paints without guidance", err=True)


def note_idle(set_: Sequence[str], config: Config) -> None:
    """Say so where `--set` gives a key of `inference` that decides nothing, but for switching off.

    Args:
        set_: What was given, `SECTION.KEY=VALUE`.
        config: What the model is used with.
    """
    from lgt.paint.sampler import idle_keys

    keys = config.inference
    for name in sorted(idle_keys(config) & {_inference_key(word) for word in set_}):
        if (name, getattr(keys, name)) in (("cfg_scale", 1), ("temperature_lambda", 0)):
            continue
        why = "this model paints without guidance"
        if not name.startswith("cfg_"):
            why = (
                f"no noise is added with num_steps {keys.num_steps}, temperature_lambda "
                f"{keys.temperature_lambda:g} and temperature_threshold "
                f"{keys.temperature_threshold:g}"
            )
        typer.echo(f"note: --set inference.{name} changes nothing: {why}", err=True)


def _inference_key(word: str) -> str:
    section, _, key = word.partition("=")[0].strip().partition(".")
    return key if section == "inference" else ""


def load_model(model: str, set_: list[str] | None, sampler: dict[str, Any]) -> LGTInference:
    """Load a model, with configuration keys changed."""
    from lgt.build import build_guidance
    from lgt.config import config_to_dict, parse_config
    from lgt.model.checkpoint import Checkpoint
    from lgt.model.release import find_model
    from lgt.paint.transfer import LGTInference

    config = None
    if set_:
        stored = json.dumps(config_to_dict(Checkpoint.load(find_model(model)).config))
        config = parse_config(stored, set_, model)
    lgt = LGTInference(model, config=config, **sampler)
    note_guidance(sampler, build_guidance(config or lgt.trained_config) is not None)
    note_idle(set_ or (), lgt.config)
    return lgt


def plan_pictures(job: Job, painter: Painter, masks: dict[Path, Picture]) -> list[Plan]:
    """Return the pictures to paint of a photo: every style with every seed."""
    from lgt.paint.control import Controls
    from lgt.paint.recipe import Recipe

    lgt = painter.lgt
    source = None if job.source_style is None else lgt.style_id(job.source_style)
    recipe = Recipe(
        style=None,
        seed=job.seed,
        source_style=None if source is None else lgt.style_names[source],
        controls=Controls(**job.controls),
        mask=None if job.mask is None else masks[job.mask],
        detail_mask=None if job.detail_mask is None else masks[job.detail_mask],
        invert_mask=job.invert_mask,
        mask_feather=job.mask_feather,
        regions=tuple((masks[path], painter.weights(style)) for path, style in job.regions),
    )
    check_seed(job.seed + job.variants - 1)
    styles = _styles(job, painter, source)
    if job.variants == 1:
        return [Plan(label, replace(recipe, style=style)) for label, style in styles]
    if not lgt.is_random:
        raise InputError(
            "--variants: this sampler draws no noise, so all pictures would be the same; add "
            "--temperature_lambda 0.3 --num_steps 4"
        )
    return [
        Plan(f"{label} seed{seed}", replace(recipe, style=style, seed=seed))
        for label, style in styles
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
        blends = [painter.weights(i) for i in _style_ids(painter.lgt, job.style, source)]
    else:
        blends = [painter.weights(job.style)]
    return [(style_label(weights), weights) for weights in blends]


def _path_of_blends(job: Job, painter: Painter) -> list[dict[str, float]]:
    """Return blends at even distances on the way from the first style over all to the last."""
    ids = [painter.lgt.style_id(name) for name in job.interpolate]
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


def _style_ids(lgt: LGTInference, style: str | int, source: int | None) -> list[int]:
    """Return the ids of `all` (without the source's own style) or of a list, each once."""
    if style == ALL:
        ids = [lgt.style_id(name) for name in lgt.painted_styles]
        return [i for i in ids if i != source] or ids
    return list(dict.fromkeys(lgt.style_id(word.strip()) for word in str(style).split(",")))
