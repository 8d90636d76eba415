"""`lgt export`: one style of a model as an ONNX file, checked against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.options import ModelOption, choose_model
from lgt.cli.say import echo


def export(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, such as a.onnx.")],
    style: Annotated[str, typer.Option(help="Style to give, by name or id.")],
    model: ModelOption = None,
    check: Annotated[
        bool,
        typer.Option(help="Compare with torch at several sizes; needs torch and onnxruntime."),
    ] = True,
) -> None:
    """Write one style of a model as an ONNX file, checked against torch.

    The file paints pictures of any size. Inputs: `image` [1, 3, H, W] in [0, 1] with sides that are
    multiples of 8, `strength` (1: the painting) and `residual` (share of the codec's loss to give
    back: 1 - strength (1 - detail)). Output: `picture`, like `image`.
    """
    from lgt.errors import InputError
    from lgt.files import atomic_write
    from lgt.runtime import Runtime
    from lgt.runtime.agreement import agreement

    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: the file must end in .onnx")
    lgt = Runtime(choose_model(model), "onnx" if check else "auto")
    name = lgt.style_names[lgt.style_id(style)]
    data = lgt.graph(name)
    found = agreement(data, str(lgt.path), name) if check else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output) as temporary:
        temporary.write_bytes(data)
    echo(f"{output}: style {name}, {len(data) / 1e6:.1f} MB, any size in multiples of 8")
    for size, difference in found.items():
        echo(f"  {size}: at most {difference:.1e} from torch")
