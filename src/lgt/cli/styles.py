"""`lgt styles`: what a model can paint like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import DeviceOption, ModelOption, choose_model
from lgt.cli.say import echo

if TYPE_CHECKING:
    from PIL import Image


def styles(
    model: ModelOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a sheet with a picture of each style."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    install: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Install a style file of `lgt add-style` first."),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove an installed style first.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="--install replaces a style of the same name.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """List the styles of a model, with a picture of each.

    After the model's own come those of `lgt add-style` that are installed for it.
    """
    from lgt.image import image_format, picture_sheet, save_image
    from lgt.model.shipped import EMBEDDED, find_model, thumbnail
    from lgt.model.style_file import install_style, installed_styles, remove_style

    if out is not None:
        image_format(out)
    chosen = choose_model(model)
    path = find_model(chosen)
    names, belongs = _names_and_hash(path)
    if remove is not None:
        echo(f"removed: {remove_style(remove, belongs)}", err=True)
    if install is not None:
        new = install_style(install, belongs, names, overwrite=overwrite)
        echo(f"installed: {new.path}", err=True)
    added = installed_styles(belongs)
    places = [thumbnail(name) if chosen == EMBEDDED else None for name in names]
    shown = [place if place is not None and place.is_file() else None for place in places]
    if as_json:
        listed = [
            {"id": i, "name": name, "picture": None if place is None else str(place)}
            for i, (name, place) in enumerate(zip(names, shown, strict=True))
        ]
        more = [
            {
                "name": style.name,
                "file": str(style.path),
                "num_works": style.num_works,
                "base": style.base,
                "steps": style.steps,
            }
            for style in added
        ]
        content = {"model": chosen, "file": str(path), "hash": belongs, "styles": listed}
        echo(json.dumps({**content, "added": more}, indent=2))
    else:
        echo("id  style")
        for i, name in enumerate(names):
            echo(f"{i:2}  {name}")
        for style in added:
            echo(f" +  {style.name} (added, from {style.num_works} works)")
        folders = {str(place.parent) for place in shown if place is not None}
        for folder in sorted(folders):
            echo(f"pictures: {folder}")
    if out is not None:
        pictures = _pictures(chosen, device, names, shown)
        thumbnails = [(style.name, style.picture()) for style in added]
        pictures += [picture for _, picture in thumbnails if picture is not None]
        labels = ["source", *names, *(name for name, picture in thumbnails if picture is not None)]
        save_image(picture_sheet(pictures, labels), out)
        echo(str(out), err=as_json)


def _names_and_hash(path: Path) -> tuple[tuple[str, ...], str]:
    """Return a model's styles and the hash that style files name; torch only where it is needed."""
    from lgt.errors import CheckpointError
    from lgt.model.style_file import model_hash
    from lgt.runtime.weights import read_model, read_weights

    try:
        config, _, _ = read_model(path)
    except CheckpointError:  # No file of `lgt pack`, or one for torch.
        from lgt.model.checkpoint import Checkpoint

        checkpoint = Checkpoint.load(path)
        return checkpoint.style_names, model_hash(checkpoint.inference_weights)
    return tuple(config["data"]["style_subdirs"]), model_hash(dict(read_weights(path)))


def _pictures(
    model: str, device: str, names: tuple[str, ...], shown: list[Path | None]
) -> list[Image.Image]:
    """Return the sample picture and one of each style: the stored ones, or painted now."""
    from lgt.image import open_image
    from lgt.model.shipped import MODEL_FOLDER, SOURCE_NAME
    from lgt.paint.painter import Painter
    from lgt.paint.recipe import Recipe
    from lgt.runtime.open import Wish, open_engine

    source = open_image(MODEL_FOLDER / SOURCE_NAME)
    stored = [open_image(place) for place in shown if place is not None]
    if len(stored) == len(names):
        return [source, *stored]
    painter = Painter(open_engine(Wish(model=model, device=device)))
    return [source, *(painter.paint(source, Recipe(style={name: 1.0})) for name in names)]
