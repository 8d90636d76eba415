"""The work of `lgt transfer`: which pictures to paint, from what, and where they go."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lgt.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from lgt.inference import LGTInference
    from lgt.styles import Style

ALL = "all"
"""Asks for a picture of every style but the photos' own."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for on the command line; see the options of `lgt transfer`."""

    input_path: Path
    output_path: Path
    style: str | int | None
    model: str
    source_style: str | int | None
    sampler: dict[str, Any]
    """Keyword arguments of `LGTInference`."""
    codec: str | None
    seed: int
    set_: list[str] | None
    controls: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of `LGTInference.stylize` as they are."""
    blend: str | None = None
    mask: Path | None = None
    detail_mask: Path | None = None
    invert_mask: bool = False
    mask_feather: float = 0.0
    regions: tuple[tuple[Path, str], ...] = ()
    variants: int = 1
    interpolate: tuple[str, ...] = ()
    interpolate_steps: int = 5
    smooth: float | None = None
    """Of videos."""
    crf: int | None = None
    """Of videos."""

    def __post_init__(self) -> None:
        ways = {"--style": self.style, "--blend": self.blend, "--interpolate": self.interpolate}
        given = [name for name, value in ways.items() if value not in (None, ())]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} exclude each other; give one of them")
        if not given and not self.regions:
            raise InputError(
                "Missing option '--style': name a style (`lgt styles` lists them), or use --blend, "
                "--region or --interpolate"
            )
        if self.interpolate and (self.regions or self.variants > 1):
            raise InputError("--interpolate goes with neither --region nor --variants")
        if self.regions and self.is_list:
            raise InputError("--region takes one --style for the rest of the picture, not several")
        if self.invert_mask and self.mask is None:
            raise InputError("--invert_mask needs --mask")
        if self.detail_mask is not None and self.controls.get("detail") == 0:
            raise InputError("--detail_mask needs --detail, such as --detail 1")

    @property
    def is_list(self) -> bool:
        """Whether several styles are named."""
        return isinstance(self.style, str) and (self.style == ALL or "," in self.style)


@dataclass(frozen=True)
class Plan:
    """One picture to paint."""

    label: str
    style: Style | None
    """None: the photo."""
    seed: int


def parse_regions(texts: list[str] | None) -> tuple[tuple[Path, str], ...]:
    """Read `MASK:STYLE`.

    Raises:
        InputError: A text is not of that form.
    """
    regions = []
    for text in texts or ():
        path, _, style = text.rpartition(":")
        if not path or not style:
            raise InputError(f"region '{text}': not MASK:STYLE; write mask.png:vangogh")
        regions.append((Path(path), style))
    return tuple(regions)


def parse_tile(text: str) -> int | None:
    """Read `auto` (None) or a number of pixels.

    Raises:
        InputError: It is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal():
        raise InputError(f"--tile must be auto, 0 or a number of pixels (got '{text}')")
    return int(text)


def run(job: Job) -> None:
    """Paint what was asked for, write it and print a line for each file."""
    from lgt.control import limit_side
    from lgt.image import image_format, open_image, picture_sheet, save_image
    from lgt.video import is_video_job

    if is_video_job(job.input_path, job.output_path):
        from lgt.cli.transfer_video import run_video

        run_video(job, job.input_path)
        return
    if job.smooth is not None or job.crf is not None:
        raise InputError("--smooth and --crf are for videos (such as IN.mp4 OUT.mp4)")
    is_folder = job.output_path.is_dir()
    is_many = job.is_list or job.variants > 1
    if is_many:
        _check_folder(job.output_path)
    elif not is_folder:
        image_format(job.output_path)
    image = open_image(job.input_path, keep_alpha=True)
    masks = _Masks(job, image)
    lgt = load_model(job)
    source = None if job.source_style is None else lgt.style_id(job.source_style)
    plans = _plans(job, lgt, source)
    regions = [(mask, lgt.style_weights(style)) for mask, style in masks.regions]
    options = {"codec": lgt.load_codec(job.codec), "source_style": source, **job.controls}
    options |= {"mask": masks.mask, "detail_mask": masks.detail_mask}
    writes_each = is_many or is_folder or not job.interpolate
    results = []
    for plan in plans:
        path = job.output_path
        if is_many or is_folder:
            name = plan.label.replace(" + ", "-").replace(" ", "")
            path = job.output_path / f"{job.input_path.stem}_{name}.png"
        began = time.perf_counter()
        result = _paint(lgt, image, plan, regions, options)
        results.append(result)
        if writes_each:
            save_image(result, path)
            typer.echo(
                f"{path}: {result.width} x {result.height}, style {plan.label}, "
                f"{time.perf_counter() - began:.2f} s"
            )
    if is_many or job.interpolate:
        sheet = job.output_path
        if is_many or is_folder:
            sheet = job.output_path / f"{job.input_path.stem}_sheet.png"
        photo = limit_side(image, job.controls.get("max_side"))
        labels = ["source", *(plan.label for plan in plans)]
        columns = min(len(labels), 8) if job.interpolate else 4
        save_image(picture_sheet([photo, *results], labels, columns=columns), sheet)
        what = "styles" if job.variants == 1 else "pictures"
        typer.echo(f"{sheet}: the source and {len(plans)} {what}")


class _Masks:
    """All masks of a job, read and softened, of the picture's size."""

    def __init__(self, job: Job, image: Image.Image) -> None:
        from lgt.image import open_image, soft_mask

        def read(path: Path, *, invert: bool = False) -> Image.Image:
            mask = open_image(path)
            return soft_mask(mask, image.size, invert=invert, feather=job.mask_feather)

        self.mask = None if job.mask is None else read(job.mask, invert=job.invert_mask)
        self.detail_mask = None if job.detail_mask is None else read(job.detail_mask)
        self.regions = [(read(path), style) for path, style in job.regions]


def load_model(job: Job) -> LGTInference:
    """Load the model of a job, with configuration keys changed."""
    from lgt.config import config_to_dict, parse_config
    from lgt.inference import LGTInference
    from lgt.train.checkpoint import Checkpoint
    from lgt.train.release import find_model

    config = None
    if job.set_:
        stored = json.dumps(config_to_dict(Checkpoint.load(find_model(job.model)).config))
        config = parse_config(stored, job.set_, job.model)
    return LGTInference(job.model, config=config, **job.sampler)


def _plans(job: Job, lgt: LGTInference, source: int | None) -> list[Plan]:
    """Return the pictures to paint: every style with every seed."""
    from lgt.styles import parse_blend

    styles: list[tuple[str, Style | None]]
    if job.interpolate:
        styles = _path_of_blends(job, lgt)
    elif job.blend is not None:
        weights = lgt.style_weights(parse_blend(job.blend))
        styles = [(_blend_label(lgt, weights), weights)]
    elif job.style is None:
        styles = [("regions", None)]
    else:
        chosen = _style_ids(lgt, job.style, source) if job.is_list else [lgt.style_id(job.style)]
        styles = [(lgt.style_names[i], i) for i in chosen]
    if job.variants == 1:
        return [Plan(label, style, job.seed) for label, style in styles]
    if not lgt.is_random:
        raise InputError(
            "--variants: this sampler draws no noise, so all pictures would be the same; add "
            "--temperature_lambda 0.3 --num_steps 4"
        )
    seeds = range(job.seed, job.seed + job.variants)
    return [Plan(f"{label} seed{seed}", style, seed) for label, style in styles for seed in seeds]


def _path_of_blends(job: Job, lgt: LGTInference) -> list[tuple[str, Style | None]]:
    """Return blends at even distances on the way from the first style over all to the last."""
    ids = [lgt.style_id(name) for name in job.interpolate]
    if len(ids) < 2:
        raise InputError("--interpolate needs two styles or more, such as monet,vangogh")
    styles: list[tuple[str, Style | None]] = []
    for index in range(job.interpolate_steps):
        at = index * (len(ids) - 1) / (job.interpolate_steps - 1)
        leg = min(int(at), len(ids) - 2)
        weights = lgt.style_weights(
            {ids[leg]: 1 - (at - leg), ids[leg + 1]: at - leg}
            if ids[leg] != ids[leg + 1]
            else {ids[leg]: 1.0}
        )
        styles.append((_blend_label(lgt, weights), weights))
    return styles


def _blend_label(lgt: LGTInference, weights: dict[int, float]) -> str:
    if len(weights) == 1:
        return lgt.style_names[next(iter(weights))]
    return " + ".join(f"{lgt.style_names[i]} {weight:.2g}" for i, weight in weights.items())


def _paint(
    lgt: LGTInference,
    image: Image.Image,
    plan: Plan,
    regions: list[tuple[Image.Image, dict[int, float]]],
    options: dict[str, Any],
) -> Image.Image:
    """Paint one picture: the plan's style, then the regions above it."""
    from lgt.control import layered, limit_side

    if plan.style is None:
        base = limit_side(image, options.get("max_side"))
    else:
        base = lgt.stylize(image, plan.style, seed=plan.seed, **options)
    layers = [
        (lgt.stylize(image, style, seed=plan.seed, **options), mask) for mask, style in regions
    ]
    return layered(base, layers)


def _check_folder(path: Path) -> None:
    """Refuse what can not be the folder of several pictures."""
    from lgt.image import IMAGE_SUFFIXES

    if path.is_dir():
        return
    if path.exists() or path.suffix.lower() in IMAGE_SUFFIXES:
        advice = f", such as {path.with_suffix('')}/" if path.suffix else "; this is a file"
        raise InputError(
            f"{path}: several styles give several pictures; OUT must be a folder{advice}"
        )


def _style_ids(lgt: LGTInference, style: str | int, source: int | None) -> list[int]:
    """Return the ids of `all` (without the source's own style) or of a list, each once."""
    if style == ALL:
        ids = [lgt.style_id(name) for name in lgt.painted_styles]
        return [i for i in ids if i != source] or ids
    return list(dict.fromkeys(lgt.style_id(word.strip()) for word in str(style).split(",")))
