"""`lgt inspect`: how a picture or video was made, from its own file; and the same again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgt.cli.options import LATEST, present
from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.files import is_file, refuse_same

if TYPE_CHECKING:
    from lgt.model.style_book import StyleBook
    from lgt.paint.engine import Facts
    from lgt.paint.painter import Painter
    from lgt.paint.picture import Picture
    from lgt.paint.provenance import FileRecord, Provenance
    from lgt.paint.recipe import Recipe

    _Load = Callable[[str], tuple[Painter, Recipe, list[str]]]


def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="PICTURE", help="Picture or video that LGT wrote.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make the picture or video again and write it here."),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Photo or video for --replay. [default: the one of the recorded name, beside the "
            "picture or in the working directory]",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where --replay finds masks. [default: as for --input, or beside the photo]",
        ),
    ] = None,
    styles: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where --replay finds files of added styles. [default: as for --masks, or "
            "installed ones]",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Model for --replay. [default: the one of the recorded name, beside the picture, "
            "in the working directory or in checkpoints/]",
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Codec for --replay. [default: the recorded one]")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            callback=present,
            help="Device for --replay: cpu, cuda, or the backend openvino or onnx. [default: the "
            "recorded one]",
        ),
    ] = None,
) -> None:
    """Show how a picture or video was made, from its own file; make it again.

    On the same machine, with the same versions, a replay gives the same picture to the bit.
    """
    from lgt.cli.pipes import kept_pipes
    from lgt.paint.provenance import read_provenance

    with kept_pipes([path, input_]) as kept:
        path, input_ = kept.get(path, path), input_ and kept.get(input_, input_)
        made = read_provenance(path)
        if made is None:
            raise InputError(
                f"{path}: does not say how it was made; it is not LGT's, or was written with "
                "--no_metadata or by a program that removes such data"
            )
        if replay is None:
            echo(made.to_json() if as_json else "\n".join(made.lines()))
            return
        places = [path.parent, Path()]
        inputs = [input_] if input_ is not None else _at(made.input, places)
        if input_ is not None:
            places.append(input_.parent)
        at = places if masks is None else [masks]
        records = (*made.masks.values(), *(region.mask for region in made.regions))
        for read in (path, *inputs, *(mask for record in records for mask in _at(record, at))):
            refuse_same(read, replay)
        find_mask = _mask_finder(at)
        add_styles = partial(_add_styles, made, places if styles is None else [styles])
        source = model or _find_model(made, [*places, LATEST.parent])
        chosen = device or _recorded_device(made)
        load = partial(_load, made, find_mask, add_styles, source, codec)
        if made.video is not None:
            video = _find_video(made.input, inputs)
            _replay_video(made, video, load, replay, chosen, as_json, like=path.name)
            return
        photo = _find(made.input, inputs, "--input", _max_side(made))
        _replay(made, photo, load, replay, chosen, as_json, like=path.name)


def _recorded_device(made: Provenance) -> str:
    """Return where the picture was painted; `auto` where this machine has no such device."""
    from lgt.runtime.engines import PACKAGES

    if made.device in PACKAGES:
        return made.device
    from lgt.device import resolve_device

    try:
        resolve_device(made.device)
    except InputError:
        return "auto"  # `_differences` names both.
    return made.device


def _max_side(made: Provenance) -> int | None:
    value = made.settings.get("max_side")  # Whether it is right is told with the recipe.
    return value if isinstance(value, int) and value > 0 else None


def _replay(
    made: Provenance,
    photo: Picture,
    load: _Load,
    output: Path,
    device: str,
    as_json: bool,
    *,
    like: str,
) -> None:
    """Paint the picture again and write it; say that it was made as `like` was."""
    from lgt.image import check_size, image_format, limited_size, save_image

    size = limited_size(photo.image.size, _max_side(made))
    check_size(image_format(output), size, output)
    painter, recipe, changed = load(device)
    picture = painter.paint(photo.image, recipe)
    record = painter.provenance(recipe, photo.record)
    _warn(changed)
    save_image(picture, output, text=record.to_json(), exif=photo.exif)
    text = f"{output}: {picture.width} x {picture.height}, made as {like} was"
    echo(json.dumps({"output": str(output), "size": picture.size}) if as_json else text)


def _replay_video(
    made: Provenance,
    source: Path,
    load: _Load,
    output: Path,
    device: str,
    as_json: bool,
    *,
    like: str,
) -> None:
    """Paint the video again and write it; say that it was made as `like` was."""
    from lgt.cli.transfer_video import frame_bar
    from lgt.image.moving import format_of
    from lgt.video.recipe import VideoOptions, paint_video

    format_of(output, source)
    painter, recipe, changed = load(device)
    options = VideoOptions(**made.video.model_dump()) if made.video is not None else None
    with frame_bar("painting") as show:
        result = paint_video(painter, recipe, source, output, options=options, progress=show)
    _warn(changed)
    for note in result.notes:
        echo(note, err=True)
    values = {"output": str(output), "size": result.size, "frames": result.num_frames}
    text = f"{output}: {result.size[0]} x {result.size[1]}, {result.num_frames} frames"
    echo(json.dumps(values) if as_json else f"{text}, made as {like} was")


def _warn(changed: list[str]) -> None:
    for warning in changed:
        echo(f"warning: {warning}; the result may differ", err=True)


def _load(
    made: Provenance,
    find_mask: Callable[[FileRecord], Picture],
    add_styles: Callable[[StyleBook], None],
    model: str,
    codec: str | None,
    device: str,
) -> tuple[Painter, Recipe, list[str]]:
    """Return model and codec, what to paint by, and what is not as it was."""
    from lgt.paint.painter import Painter
    from lgt.paint.recipe import recipe_of
    from lgt.runtime.engines import PACKAGES
    from lgt.runtime.open import Wish, open_engine

    recipe = recipe_of(made, find_mask)
    is_torch, precision = device not in PACKAGES, made.settings.get("precision", "fp32")
    engine = open_engine(
        Wish(
            model=model,
            backend="torch" if is_torch else device,
            device=device if is_torch else "cpu",
            # Other backends' int8 is nearer to fp32 on torch.
            precision="fp32" if is_torch and precision == "int8" else precision,
            codec=codec or _recorded_codec(made),
            changes=tuple(f"{k}={json.dumps(v)}" for k, v in made.settings.items() if "." in k),
        )
    )
    changed = list(_differences(made, engine.facts))
    add_styles(engine.styles)
    return Painter(engine), recipe, changed


def _recorded_codec(made: Provenance) -> str | None:
    """Return the codec that the record names; None: the model's own.

    Raises:
        InputError: The user has to name it.
    """
    from lgt.codec.stored import check_stored_source

    if made.codec.source is None:
        return None
    return check_stored_source(made.codec.source, "the picture")


def _differences(made: Provenance, now: Facts) -> Iterator[str]:
    """Yield what is not as it was."""
    from lgt import __version__

    if made.lgt_version != __version__:
        yield f"painted by lgt {made.lgt_version}, this is {__version__}"
    if made.model.sha256 != now.model.sha256:
        yield (
            f"painted by model {made.model.name} ({made.model.sha256}), this is "
            f"{now.model.name} ({now.model.sha256})"
        )
    then, codec = made.codec, now.codec
    is_same = then.fingerprint == codec.fingerprint
    if not is_same or (not codec.fingerprint and then.name != codec.name):
        yield (
            f"painted with codec {then.name} ({then.fingerprint}), this is "
            f"{codec.name} ({codec.fingerprint})"
        )
    if made.device != now.device:
        yield f"painted on {made.device}, this is {now.device}"


def _at(record: FileRecord, folders: list[Path]) -> list[Path]:
    return [folder / Path(record.name).name for folder in folders]


def _find(
    record: FileRecord, paths: list[Path], option: str, max_side: int | None = None
) -> Picture:
    """Read the first file whose bytes are those recorded, else the first that is there.

    Raises:
        InputError: There is none.
    """
    from lgt.paint.picture import read_picture

    found = [read_picture(path, max_side=max_side) for path in _candidates(record, paths, option)]
    return found[_choose(record, [picture.sha256 for picture in found])]


def _find_video(record: FileRecord, paths: list[Path]) -> Path:
    """Return the first file whose bytes are those recorded, else the first that is there.

    Raises:
        InputError: There is none.
    """
    from lgt.video.recipe import video_record

    found = _candidates(record, paths, "--input")
    return found[_choose(record, [video_record(path).sha256 for path in found])]


def _candidates(record: FileRecord, paths: list[Path], option: str) -> list[Path]:
    """Return the paths that are there; a single one is taken as it is."""
    found = [path for path in dict.fromkeys(paths) if is_file(path) or len(paths) == 1]
    if not found:
        seen = ", ".join(dict.fromkeys(str(path.parent) for path in paths))
        raise InputError(
            f"{record.name}: no such file in {seen}; a replay needs it, name it with {option}"
        )
    return found


def _choose(record: FileRecord, hashes: list[str]) -> int:
    """Return which file is the one recorded, else the first, with a warning."""
    if record.sha256 in hashes:
        return hashes.index(record.sha256)
    echo(
        f"warning: {record.name} was {record.sha256}, this file is {hashes[0]}: another file, or "
        "a changed one; the result may differ",
        err=True,
    )
    return 0


def _mask_finder(folders: list[Path]) -> Callable[[FileRecord], Picture]:
    return lambda record: _find(record, _at(record, folders), "--masks")


def _add_styles(made: Provenance, folders: list[Path], book: StyleBook) -> None:
    """Take in the added styles of a picture, under the names that it gives them."""
    from lgt.model.style_file import AddedStyle, installed_path
    from lgt.paint.painter import record_of

    for name, record in made.added_styles.items():
        paths = _at(record, folders)
        paths += [installed_path(stem, book.model_hash) for stem in (Path(record.name).stem, name)]
        found = [
            AddedStyle.load(path, book.model_hash) for path in dict.fromkeys(paths) if is_file(path)
        ]
        if not found:
            seen = ", ".join(dict.fromkeys(str(path.parent) for path in paths))
            raise InputError(
                f"{record.name}: no such style file in {seen}; a replay needs it, name its folder "
                "with --styles"
            )
        same = [style for style in found if record_of(style).sha256 == record.sha256]
        if not same:
            echo(
                f"warning: style {name} was {record.sha256}, {found[0].path} is "
                f"{record_of(found[0]).sha256}; the picture may differ",
                err=True,
            )
        style = (same or found)[0]
        book.add_style(replace(style, name=name, path=Path(record.name)))


def _find_model(made: Provenance, folders: list[Path]) -> str:
    if made.model.name == "embedded":
        return made.model.name
    for path in _at(made.model, folders):
        if is_file(path):
            return str(path)
    raise InputError(
        f"{made.model.name}: no such model beside the picture, here or in {LATEST.parent}; name "
        "it with --model"
    )
