"""Which images a raw folder holds, and which files are made of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lgt.errors import InputError
from lgt.image import (
    IMAGE_SUFFIXES,
    LeftOut,
    left_out,
    left_out_among,
    pictures_among,
    visible_files,
)
from lgt.names import is_hidden
from lgt.stores import address_of, names_in, public, refuse_address


@dataclass(frozen=True)
class Variant:
    """One picture cut from a source image."""

    output: str
    """`.pt` path relative to the output folder."""
    crop: int
    hflip: bool


@dataclass(frozen=True)
class Source:
    """One image file and what is made of it."""

    path: Path
    name: str
    """Path relative to the raw folder, with forward slashes."""
    variants: tuple[Variant, ...]


def check_raw_root(raw_root: Path) -> None:
    """Refuse a raw folder that is not there.

    Raises:
        InputError: Says which, and what there is.
    """
    if not raw_root.exists():
        parent = next((p for p in raw_root.absolute().parents if p.exists()), None)
        raise InputError(
            f"raw_data_root: no such folder: {raw_root} (the nearest that exists is {parent})"
        )
    if not raw_root.is_dir():
        raise InputError(f"raw_data_root: is a file, not a folder: {raw_root}")


def check_roots(raw_root: Path, output_root: Path) -> None:
    """Refuse a raw folder that is not there, and folders that lie inside one another.

    Raises:
        InputError: Says which, and what to choose instead.
    """
    if address_of(raw_root) is None:
        check_raw_root(raw_root)
    refuse_address(output_root, "latents are written on this machine, where trainings read them")
    if output_root.exists() and not output_root.is_dir():
        raise InputError(f"output_root: is a file, not a folder: {output_root}")
    raw, output = raw_root.resolve(), output_root.resolve()
    if raw == output:
        raise InputError(
            f"output_root: is the same folder as raw_data_root ({raw_root}); choose another one"
        )
    if output.is_relative_to(raw):
        raise InputError(
            f"output_root: {output_root} lies inside raw_data_root {raw_root}, where it would be "
            "taken for a style; choose a folder beside it"
        )
    if raw.is_relative_to(output):
        raise InputError(
            f"raw_data_root: {raw_root} lies inside output_root {output_root}; choose an output "
            "folder beside it"
        )


def find_styles(raw_root: Path) -> dict[str, list[str]]:
    """Return the image names of each style folder, sorted; hidden files are left out.

    Names are relative to `raw_root`, with forward slashes; sub-folders of a style are searched.

    Raises:
        InputError: There is no style folder, or one of them holds no image.
    """
    if (address := address_of(raw_root)) is not None:
        return _stored_styles(address)
    try:
        folders = _style_folders(raw_root)
    except PermissionError:
        raise InputError(f"raw_data_root: no permission to read {raw_root}") from None
    if not folders:
        loose = count_loose_images(raw_root)
        found = f"{loose} image(s) directly in it" if loose else "nothing usable in it"
        raise InputError(
            f"raw_data_root: {raw_root} has no style folder, only {found}; put the images of each "
            f"style into a folder of its own, as in {raw_root / 'style0' / 'img001.jpg'}"
        )
    styles: dict[str, list[str]] = {}
    problems: list[str] = []
    for folder in folders:
        files = visible_files(folder)
        images = pictures_among(files)
        styles[folder.name] = sorted(p.relative_to(raw_root).as_posix() for p in images)
        if not styles[folder.name]:
            endings = Counter(p.suffix.lower() or "no ending" for p in files)
            seen = ", ".join(f"{n} x {ending}" for ending, n in endings.most_common(4))
            problems.append(f"{folder}: found {seen or 'no file at all'}")
    if problems:
        raise InputError(
            "style folders with no image:\n"
            + "".join(f"  - {problem}\n" for problem in problems)
            + f"remove them, or add images ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return styles


def find_left_out(raw_root: Path) -> list[LeftOut]:
    """Return what of a raw folder is a picture, or a link to none, and is not taken, with why.

    Of a store nothing: its files would all have to be read.
    """
    if address_of(raw_root) is not None:
        return []
    found = left_out_among(visible_files(raw_root, recursive=False))
    for folder in _style_folders(raw_root):
        found += left_out(folder)
    return found


def _stored_styles(address: str) -> dict[str, list[str]]:
    """Return the same of a store, where folders are parts of names."""
    styles: dict[str, list[str]] = {}
    for name in names_in(address, recursive=True):
        style, slash, _ = name.partition("/")
        if slash and Path(name).suffix.lower() in IMAGE_SUFFIXES:
            styles.setdefault(style, []).append(name)
    if not styles:
        raise InputError(
            f"raw_data_root: {public(address)} has no style folder with images; put those of each "
            f"style below a name of its own, as in {public(address)}/style0/img001.jpg"
        )
    return styles


def _style_folders(raw_root: Path) -> list[Path]:
    """Return the visible folders, sorted; a link that may not be followed is none."""
    # Path's own test raises at such a link.
    return sorted(
        p
        for p in raw_root.iterdir()
        if os.path.isdir(p) and not is_hidden(p.name)  # noqa: PTH112
    )


def count_loose_images(raw_root: Path) -> int:
    """Count the images that lie directly in the raw folder, in no style; of a store, none."""
    if address_of(raw_root) is not None:
        return 0
    return sum(1 for _ in pictures_among(visible_files(raw_root, recursive=False)))


def plan(raw_root: Path, names: Sequence[str], *, num_crops: int, hflip: bool) -> list[Source]:
    """Decide the output files of every image.

    `a/img.jpg` becomes `a/img.pt`, further crops `a/img@crop1.pt`, mirrored ones `a/img@flip.pt`.
    Where two images would share a file (`img.jpg` beside `img.png`), both keep their full names:
    `img.jpg.pt`, `img.png.pt`. Names that differ in case only count as shared.
    """
    stems = {name: name.rpartition(".")[0] for name in names}
    while True:
        owners = Counter(
            variant.output.casefold()
            for stem in stems.values()
            for variant in _variants(stem, num_crops, hflip)
        )
        shared = [
            name
            for name, stem in stems.items()
            if stem != name
            and any(owners[v.output.casefold()] > 1 for v in _variants(stem, num_crops, hflip))
        ]
        if not shared:
            break
        stems.update((name, name) for name in shared)
    return [
        Source(raw_root / name, name, tuple(_variants(stem, num_crops, hflip)))
        for name, stem in stems.items()
    ]


def _variants(stem: str, num_crops: int, hflip: bool) -> Iterator[Variant]:
    for crop in range(num_crops):
        middle = f"@crop{crop}" if crop else ""
        yield Variant(f"{stem}{middle}.pt", crop, False)
        if hflip:
            yield Variant(f"{stem}{middle}@flip.pt", crop, True)
