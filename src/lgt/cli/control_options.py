"""Options of `lgt transfer` that say how, where and how often to paint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BlendOption = Annotated[
    str | None,
    typer.Option(
        metavar="STYLE:WEIGHT,...",
        help="Mix styles, such as vangogh:0.6,monet:0.4, instead of --style; weights are divided "
        "by their sum. [default: none]",
    ),
]
StrengthOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="0 gives the photo back exactly, 1 the full style."),
]
DetailOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of the fine detail of the photo (faces, text) that the codec loses to give "
        "back. [default: the model's]",
    ),
]
ColorOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of the broad colours of the photo (sky, skin, a dress) to give back; 0: the "
        "style's palette alone. [default: the model's]",
    ),
]
DetailMaskOption = Annotated[
    Path | None,
    typer.Option(
        "--detail_mask",
        "--detail-mask",
        metavar="FILE",
        help="Where --detail applies: white. [default: everywhere]",
    ),
]
PreserveColorOption = Annotated[
    bool,
    typer.Option(
        "--preserve_color",
        "--preserve-color",
        help="Keep the photo's colours; only the brightness is painted.",
    ),
]
MaskOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Paint where this picture is white, keep the photo where it is black; stretched to "
        "the photo's size. [default: paint everywhere]",
    ),
]
InvertMaskOption = Annotated[
    bool,
    typer.Option("--invert_mask", "--invert-mask", help="Swap black and white of --mask."),
]
FeatherOption = Annotated[
    float,
    typer.Option(
        "--mask_feather",
        "--mask-feather",
        metavar="PX",
        min=0,
        help="Soften the borders of all masks: deviation of a Gaussian blur, in pixels of the "
        "photo.",
    ),
]
RegionOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK:STYLE",
        help="Paint where the mask is white in this style; may be given several times, later "
        "regions lie above. Elsewhere is --style or --blend, or else the photo. [default: none]",
    ),
]
CanvasOption = Annotated[
    str,
    typer.Option(
        metavar="auto|PX",
        help="Short side, in pixels, at which larger photos are painted before they are enlarged: "
        "strokes then do not depend on the camera. auto: as the model was trained, at least 640; "
        "0: the photo's own size.",
    ),
]
StyleScaleOption = Annotated[
    float,
    typer.Option(
        "--style_scale",
        "--style-scale",
        min=0.25,
        max=8,
        help="Size of the strokes: 2 paints at half the size and enlarges; below 1 is finer and "
        "slower.",
    ),
]
MaxSideOption = Annotated[
    int | None,
    typer.Option(
        "--max_side",
        "--max-side",
        metavar="PX",
        min=1,
        help="Shrink the photo to this longest side first, for a quick look. [default: no limit]",
    ),
]
RefineOption = Annotated[
    int,
    typer.Option(
        metavar="STEPS",
        min=0,
        max=200,
        help="Let the painting go on for so many steps, down the energy that the model was trained "
        "by: strokes and outlines become those of the works. 3 do most of it in a second or two on "
        "a CPU, 10 are nearly all. Needs the extra train; not for videos. 0 is off.",
    ),
]
RepulsionOption = Annotated[
    float,
    typer.Option(
        min=0,
        help="Push away from the photo's own style: v + r (v - v_own); one more evaluation of the "
        "network a step. 0 is off, 0.5 is strong.",
    ),
]
TileOption = Annotated[
    str,
    typer.Option(
        metavar="PX",
        help="Side of the tiles in which large pictures are painted: auto, pixels (64 or more), "
        "or 0 for never.",
    ),
]
SmoothOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.99,
        help="Videos: share of the last frame that is kept where the source holds still; 0 is off. "
        "[default: 0.85]",
    ),
]
CrfOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=63,
        help="Videos: quality of the encoder; smaller is better and larger. [default: 18 for "
        "H.264 (.mp4, .mov, .mkv), 30 for VP9 (.webm)]",
    ),
]
VariantsOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=100,
        help="Pictures from as many seeds, SEED and up; OUT is then a folder. Needs noise: "
        "--temperature_lambda above 0 and --num_steps 4 or more.",
    ),
]
InterpolateOption = Annotated[
    str | None,
    typer.Option(
        metavar="STYLE,STYLE,...",
        help="Draw a sheet that goes from style to style, instead of --style; with a folder as "
        "OUT also its pictures. [default: none]",
    ),
]
InterpolateStepsOption = Annotated[
    int,
    typer.Option(
        "--interpolate_steps",
        "--interpolate-steps",
        min=2,
        max=100,
        help="Pictures of --interpolate, ends included.",
    ),
]
