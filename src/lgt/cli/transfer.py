"""`lgt transfer`, and the documented `inference.py CKPT IN OUT`: give a picture a style."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lgt.cli.control_options import (
    BlendOption,
    CanvasOption,
    ColorOption,
    CrfOption,
    DetailMaskOption,
    DetailOption,
    FeatherOption,
    InterpolateOption,
    InterpolateStepsOption,
    InvertMaskOption,
    MaskOption,
    MaxSideOption,
    PreserveColorOption,
    RefineOption,
    RegionOption,
    RepulsionOption,
    SmoothOption,
    StrengthOption,
    StyleScaleOption,
    TileOption,
    VariantsOption,
)
from lgt.cli.options import (
    AddressOption,
    DeviceOption,
    EngineOption,
    ModelOption,
    RayWorkersOption,
    SetOption,
    choose_model,
    choose_spread,
    refuse_unread,
)
from lgt.cli.pipes import names_folder
from lgt.cli.transfer_job import Job, parse_auto, parse_regions
from lgt.cli.transfer_run import run
from lgt.errors import InputError
from lgt.seeds import MAX_SEED

InputArgument = Annotated[
    Path, typer.Argument(metavar="IN", help="Picture or video to change; - is standard input.")
]
InputsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN",
        help="Picture or video to change; or several, a folder, a pattern in quotes such "
        "as 'trip/*.jpg', or a folder of an object store (s3://bucket/photos); - is standard "
        "input.",
    ),
]
OutputArgument = Annotated[
    str,  # A Path would lose the slash at its end.
    typer.Argument(
        metavar="OUT",
        help="Picture or video to write; the suffix gives the format. A folder gets "
        "PHOTO_STYLE.png, CLIP_STYLE.mp4; a slash at the end makes a new one. The pictures of a "
        "folder may go to an object store (s3://bucket/out). - is PNG on standard output.",
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--num_steps", "--num-steps", min=1, help="Solver steps. [default: the model's]"),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature_lambda",
        "--temperature-lambda",
        min=0,
        help="Noise of the late phase; 0 is none. [default: the model's]",
    ),
]
GuidanceOption = Annotated[
    float | None,
    typer.Option(
        "--cfg_scale",
        "--cfg-scale",
        min=0,
        help="Guidance scale s in u + s (c - u); 1 is off, any other switches it on. "
        "[default: the model's]",
    ),
]
NoGuidanceOption = Annotated[bool, typer.Option("--no_cfg", "--no-cfg", help="No guidance.")]
CodecOption = Annotated[
    str | None,
    typer.Option(
        help="Image codec: embedded, a hub id such as stabilityai/sd-vae-ft-mse, a local folder, "
        "dct[:channels]. [default: the model's]"
    ),
]
READ_KEYS = ("inference", "training.solver", "training.start", "data.source_subdirs")
"""Sections and keys of the configuration that a transfer acts by."""
SeedOption = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Same seed, same picture.")]
NoMetadataOption = Annotated[
    bool,
    typer.Option(
        "--no_metadata",
        "--no-metadata",
        help="Write neither how the picture was made (see `lgt inspect`) nor the photo's EXIF.",
    ),
]
PrecisionOption = Annotated[str, typer.Option(help="Number format: fp32 or bf16.")]


def transfer(
    inputs: InputsArgument,
    output_path: OutputArgument,
    style: Annotated[
        str | None,
        typer.Option(
            help="Style to give, by name or id (`lgt styles` lists them); several, separated by "
            "commas, or `all`, with a folder as OUT. [needed unless --blend, --region or "
            "--interpolate is given]"
        ),
    ] = None,
    model: ModelOption = None,
    source_style: Annotated[
        str | None,
        typer.Option(
            "--source_style", "--source-style", help="Style that the input has, if known."
        ),
    ] = None,
    num_steps: StepsOption = None,
    temperature_lambda: TemperatureOption = None,
    cfg_scale: GuidanceOption = None,
    no_cfg: NoGuidanceOption = False,
    codec: CodecOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="Number format: fp32, bf16, int8 (OpenVINO only) or auto, which is bf16 where the "
            "processor or an NVIDIA GPU has instructions for it (not on ONNX Runtime), else fp32."
        ),
    ] = "auto",
    backend: Annotated[
        str | None,
        typer.Option(
            help="What computes: torch, openvino, onnx; auto takes the fastest that can do it. "
            "[default: auto where OpenVINO is and no GPU, or where torch is not; else torch]"
        ),
    ] = None,
    set_: SetOption = None,
    blend: BlendOption = None,
    strength: StrengthOption = 1.0,
    detail: DetailOption = None,
    detail_mask: DetailMaskOption = None,
    color: ColorOption = None,
    preserve_color: PreserveColorOption = False,
    mask: MaskOption = None,
    invert_mask: InvertMaskOption = False,
    mask_feather: FeatherOption = 0.0,
    region: RegionOption = None,
    canvas: CanvasOption = "auto",
    style_scale: StyleScaleOption = 1.0,
    max_side: MaxSideOption = None,
    refine: RefineOption = 0,
    repulsion: RepulsionOption = 0.0,
    tile: TileOption = "auto",
    variants: VariantsOption = 1,
    interpolate: InterpolateOption = None,
    interpolate_steps: InterpolateStepsOption = 5,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Search sub-folders of IN, and keep them.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Paint anew what a run of several files would skip: results newer than their "
            "photo and made in the same way. A single file is always painted.",
        ),
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="png|jpg|webp",
            help="Format of the pictures that go to a folder. [default: png]",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each result.")
    ] = False,
    no_metadata: NoMetadataOption = False,
    smooth: SmoothOption = None,
    crf: CrfOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    ray_workers: RayWorkersOption = None,
) -> None:
    """Give a picture, many, or a video the style of a trained model; the size stays.

    Several files go on after one that can not be read, and can be stopped and started again. Exit
    code: 0 if every picture was made, 1 if some could not be, 2 for wrong arguments.
    """
    refuse_unread(set_, "lgt transfer", READ_KEYS)
    names = [] if interpolate is None else interpolate.split(",")
    job = Job(
        inputs=tuple(inputs),
        output_path=Path(output_path),
        makes_folder=names_folder(output_path),
        format=format_ and format_.lower(),
        style=style,
        model=choose_model(model),
        source_style=source_style,
        sampler=_sampler(num_steps, temperature_lambda, cfg_scale, no_cfg),
        backend=backend,
        device=device,
        precision=precision,
        codec=codec,
        seed=seed,
        set_=set_,
        controls={
            "strength": strength,
            "detail": detail,
            "color": color,
            "preserve_color": preserve_color,
            "canvas": parse_auto("canvas", canvas),
            "style_scale": style_scale,
            "max_side": max_side,
            "refine": refine,
            "repulsion": repulsion,
            "tile": parse_auto("tile", tile),
        },
        blend=blend,
        mask=mask,
        detail_mask=detail_mask,
        invert_mask=invert_mask,
        mask_feather=mask_feather,
        regions=parse_regions(region),
        variants=variants,
        interpolate=tuple(name.strip() for name in names),
        interpolate_steps=interpolate_steps,
        has_metadata=not no_metadata,
        as_json=as_json,
        recursive=recursive,
        overwrite=overwrite,
        smooth=smooth,
        crf=crf,
        spread=choose_spread(engine, address, ray_workers, device),
    )
    run(job)


def inference(
    model_path: Annotated[Path, typer.Argument(metavar="CKPT", help="Checkpoint of training.")],
    input_path: InputArgument,
    output_path: OutputArgument,
    target_style_id: Annotated[
        int, typer.Option("--target_style_id", "--target-style-id", help="Style to give.")
    ],
    source_style_id: Annotated[
        int | None,
        typer.Option(
            "--source_style_id", "--source-style-id", help="Style of the input, if known."
        ),
    ] = None,
    num_steps: StepsOption = None,
    temperature_lambda: TemperatureOption = None,
    cfg_scale: GuidanceOption = None,
    no_cfg: NoGuidanceOption = False,
    codec: CodecOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
    set_: SetOption = None,
    no_metadata: NoMetadataOption = False,
) -> None:
    """Give a picture the style with a given id; the output has the input's size."""
    refuse_unread(set_, "inference.py", READ_KEYS)
    job = Job(
        inputs=(input_path,),
        output_path=Path(output_path),
        makes_folder=names_folder(output_path),
        style=target_style_id,
        model=str(model_path),
        source_style=source_style_id,
        sampler=_sampler(num_steps, temperature_lambda, cfg_scale, no_cfg),
        backend="torch",
        device=device,
        precision=precision,
        codec=codec,
        seed=seed,
        set_=set_,
        has_metadata=not no_metadata,
    )
    run(job)


def _sampler(
    num_steps: int | None, temperature_lambda: float | None, cfg_scale: float | None, no_cfg: bool
) -> dict[str, Any]:
    """Return the arguments of `choose_sampler`.

    Raises:
        InputError: Guidance is asked for and refused.
    """
    if no_cfg and cfg_scale is not None:
        raise InputError("--cfg_scale and --no_cfg exclude each other; give one of them")
    return {
        "num_steps": num_steps,
        "temperature_lambda": temperature_lambda,
        "cfg_scale": cfg_scale,
        "use_cfg": False if no_cfg else None,
    }
