"""`lgt transfer`, and the documented `inference.py CKPT IN OUT`: give a picture a style."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.options import DeviceOption, SetOption

InputArgument = Annotated[Path, typer.Argument(metavar="IN", help="Picture to change.")]
OutputArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="Picture to write; the suffix gives the format.")
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
        help="Image codec: a hub id, a local folder, dct[:channels]. [default: the model's]"
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same picture.")]
PrecisionOption = Annotated[str, typer.Option(help="Number format: fp32 or bf16.")]


def transfer(
    input_path: InputArgument,
    output_path: OutputArgument,
    style: Annotated[str, typer.Option(help="Style to give, by name or id.")],
    model: Annotated[Path, typer.Option(metavar="FILE", help="Checkpoint of `lgt train`.")] = Path(
        "checkpoints/latest.pt"
    ),
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
) -> None:
    """Give a picture the style of a trained model; the output has the input's size."""
    _transfer(
        input_path,
        output_path,
        style,
        model,
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
        model_path,
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


def _transfer(
    input_path: Path,
    output_path: Path,
    style: str | int,
    model: Path,
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
    from lgt.image import image_format, open_image, save_image
    from lgt.inference import LGTInference
    from lgt.train.checkpoint import Checkpoint

    image_format(output_path)
    image = open_image(input_path)
    config = None
    if set_:
        stored = json.dumps(config_to_dict(Checkpoint.load(model).config))
        config = parse_config(stored, set_, str(model))
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
    style_id = lgt.style_id(style)
    source = None if source_style is None else lgt.style_id(source_style)
    loaded = lgt.load_codec(codec)
    began = time.perf_counter()
    result = lgt.stylize(image, style_id, codec=loaded, source_style=source, seed=seed)
    save_image(result, output_path)
    typer.echo(
        f"{output_path}: {image.width} x {image.height}, style {lgt.style_names[style_id]}, "
        f"{time.perf_counter() - began:.2f} s"
    )
