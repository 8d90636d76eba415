"""`lgt transfer`, and the documented `inference.py CKPT IN OUT`: give a picture a style."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import DeviceOption, ModelOption, SetOption, choose_model
from lgt.errors import InputError

if TYPE_CHECKING:
    from lgt.inference import LGTInference

InputArgument = Annotated[Path, typer.Argument(metavar="IN", help="Picture to change.")]
OutputArgument = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="Picture to write; the suffix gives the format. A folder gets PHOTO_STYLE.png.",
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
        help="Guidance scale s in u + s (c - u); 1 is off. [default: the model's]",
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
ALL = "all"
"""Asks for a picture of every style but the photos' own."""
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same picture.")]
PrecisionOption = Annotated[str, typer.Option(help="Number format: fp32 or bf16.")]


def transfer(
    input_path: InputArgument,
    output_path: OutputArgument,
    style: Annotated[
        str,
        typer.Option(
            help="Style to give, by name or id (`lgt styles` lists them); several, separated by "
            "commas, or `all`, with a folder as OUT."
        ),
    ],
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
    precision: PrecisionOption = "fp32",
    set_: SetOption = None,
    backend: Annotated[
        str, typer.Option(help="What computes: torch, openvino, onnx, or auto (of these two).")
    ] = "torch",
) -> None:
    """Give a picture the style of a trained model; the output has the input's size."""
    if backend != "torch":
        options = {
            "--source_style": source_style,
            "--num_steps": num_steps,
            "--temperature_lambda": temperature_lambda,
            "--cfg_scale": cfg_scale,
            "--codec": codec,
            "--set": set_,
        }
        given = [name for name, value in options.items() if value is not None]
        if given or device not in ("auto", "cpu"):
            names = ", ".join(given) or f"--device {device}"
            raise InputError(f"--backend {backend} does not take {names}; use --backend torch")
        _run_without_torch(input_path, output_path, style, choose_model(model), backend, precision)
        return
    _transfer(
        input_path,
        output_path,
        style,
        choose_model(model),
        source_style,
        num_steps,
        temperature_lambda,
        cfg_scale,
        no_cfg,
        codec,
        seed,
        device,
        precision,
        set_,
    )


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
) -> None:
    """Give a picture the style with a given id; the output has the input's size."""
    _transfer(
        input_path,
        output_path,
        target_style_id,
        str(model_path),
        source_style_id,
        num_steps,
        temperature_lambda,
        cfg_scale,
        no_cfg,
        codec,
        seed,
        device,
        precision,
        set_,
    )


def _run_without_torch(
    input_path: Path, output_path: Path, style: str, model: str, backend: str, precision: str
) -> None:
    """Transfer one style on OpenVINO or ONNX Runtime."""
    from lgt.image import image_format, open_image, save_image
    from lgt.runtime import Runtime

    if style == ALL or "," in style:
        raise InputError(f"--backend {backend} takes one style (got '{style}')")
    lgt = Runtime(model, backend, precision=precision)
    name = lgt.style_names[lgt.style_id(style)]
    path = output_path
    if output_path.is_dir():
        path = output_path / f"{input_path.stem}_{name}.png"
    image_format(path)
    save_image(lgt.stylize(open_image(input_path), name), path)
    typer.echo(f"{path}: style {name}, backend {lgt.backend}")


def _transfer(
    input_path: Path,
    output_path: Path,
    style: str | int,
    model: str,
    source_style: str | int | None,
    num_steps: int | None,
    temperature_lambda: float | None,
    cfg_scale: float | None,
    no_cfg: bool,
    codec: str | None,
    seed: int,
    device: str,
    precision: str,
    set_: list[str] | None,
) -> None:
    """Do what both commands do; styles by name, or by id where a name may look like a number."""
    from lgt.config import config_to_dict, parse_config
    from lgt.image import image_format, open_image, picture_sheet, save_image
    from lgt.inference import LGTInference
    from lgt.train.checkpoint import Checkpoint
    from lgt.train.release import find_model

    is_many = isinstance(style, str) and (style == ALL or "," in style)
    is_folder = output_path.is_dir()
    if is_many:
        _check_folder(output_path)
    elif not is_folder:
        image_format(output_path)
    image = open_image(input_path)
    config = None
    if set_:
        stored = json.dumps(config_to_dict(Checkpoint.load(find_model(model)).config))
        config = parse_config(stored, set_, model)
    lgt = LGTInference(
        model,
        device,
        temperature_lambda=temperature_lambda,
        use_cfg=False if no_cfg else None,
        cfg_scale=cfg_scale,
        num_steps=num_steps,
        precision=precision,
        config=config,
    )
    source = None if source_style is None else lgt.style_id(source_style)
    ids = _style_ids(lgt, style, source) if is_many else [lgt.style_id(style)]
    loaded = lgt.load_codec(codec)
    results = []
    for style_id in ids:
        name = lgt.style_names[style_id]
        path = output_path
        if is_many or is_folder:
            path = output_path / f"{input_path.stem}_{name}.png"
        began = time.perf_counter()
        result = lgt.stylize(image, style_id, codec=loaded, source_style=source, seed=seed)
        save_image(result, path)
        results.append(result)
        typer.echo(
            f"{path}: {image.width} x {image.height}, style {name}, "
            f"{time.perf_counter() - began:.2f} s"
        )
    if is_many:
        sheet = output_path / f"{input_path.stem}_sheet.png"
        labels = ["source", *(lgt.style_names[i] for i in ids)]
        save_image(picture_sheet([image, *results], labels), sheet)
        typer.echo(f"{sheet}: the source and {len(ids)} styles")


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
