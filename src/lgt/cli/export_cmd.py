"""`lgt export`: one style of a model as an ONNX file, or all as a page that paints in browsers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lgt.cli.options import ModelOption, choose_model
from lgt.cli.say import echo
from lgt.errors import InputError


def export(
    output: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="File to write, such as a.onnx.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Style to give, by name or id, of a file.")
    ] = None,
    model: ModelOption = None,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Compare the file with torch at several sizes; needs torch and onnxruntime. "
            "[default: check]",
        ),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a folder instead: a page for any web host that paints in all styles on "
            "the visitor's device.",
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="With --web: ONNX Runtime for browsers, the archive of `npm pack "
            "onnxruntime-web` or its folder. [default: downloaded once, 20 MB]",
        ),
    ] = None,
) -> None:
    """Write one style of a model as an ONNX file, or a web page that paints without a server.

    A file is compared with torch before it is written.

    The file paints pictures of any size. Inputs: `image` [1, 3, H, W] in [0, 1] with sides that are
    multiples of 8, `strength` (1: the painting) and `residual` (share of the codec's loss to give
    back: 1 - strength (1 - detail)). Output: `picture`, like `image`, in the style's palette: what
    --color gives back is not in the graph.

    The folder of --web is all that a web host needs: visitors paint without a server.
    """
    if web is not None:
        given = {"OUT": output, "--style": style, "--check": check}
        if found := [name for name, value in given.items() if value is not None]:
            raise InputError(
                f"--web writes a folder with all styles, so it takes no {', '.join(found)}"
            )
        return _export_site(web, model, runtime)
    if runtime is not None:
        raise InputError("--runtime belongs to --web DIR, which was not given")
    if output is None or style is None:
        lacking = "OUT, the file to write" if output is None else "--style NAME"
        raise InputError(
            f"give {lacking} (`lgt styles` lists styles), or --web DIR for all of them"
        )
    _export_file(output, style, model, check=check is not False)
    return None


def _export_file(output: Path, style: str, model: str | None, *, check: bool) -> None:
    from lgt.files import atomic_write, refuse_unwritable
    from lgt.runtime import Runtime
    from lgt.runtime.agreement import agreement

    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: the file must end in .onnx")
    refuse_unwritable(output.parent)
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


def _export_site(folder: Path, model: str | None, source: Path | None) -> None:
    from lgt.files import refuse_unwritable
    from lgt.model.style_file import installed_styles
    from lgt.runtime import Runtime
    from lgt.site.library import VERSION, library
    from lgt.site.write import write_site

    refuse_unwritable(folder)
    lgt = Runtime(choose_model(model))
    for added in installed_styles(lgt.model_hash):
        lgt.style_id(added.name)
    sizes = write_site(lgt, folder, library(source))
    named = ", ".join(lgt.painted_styles)
    echo(f"{folder}: {sum(sizes.values()) / 1e6:.1f} MB in {len(sizes)} files, styles {named}")
    parts = {"model": "model/", f"onnxruntime-web {VERSION}": "runtime/"}
    for part, start in parts.items():
        size = sum(size for name, size in sizes.items() if name.startswith(start))
        echo(f"  {part}: {size / 1e6:.1f} MB")
    echo(f"try it: python -m http.server --directory {folder}")
