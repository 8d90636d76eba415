"""Folders of photos, of works and of results, read as squares of one size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from lgt.errors import InputError
from lgt.image import open_image, pictures_among, resize_and_crop, to_tensor, visible_files
from lgt.metrics.features import Pictures

T = TypeVar("T")


@dataclass
class Problems:
    """Files that could not be read; reported at the end."""

    files: list[tuple[Path, str]] = field(default_factory=list)


def pictures_in(folder: Path, what: str) -> list[Path]:
    """Return the image files of a folder, sorted by path.

    Args:
        folder: Searched with its sub-folders; hidden files are left out.
        what: What the folder is, for the message.

    Raises:
        InputError: The folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{what}: no such folder: {folder} (working directory: {Path.cwd()})")
    paths = sorted(pictures_among(visible_files(folder)))
    if not paths:
        raise InputError(f"{what}: no image in {folder}; expected files such as picture.jpg")
    return paths


def style_folders(root: Path, what: str) -> dict[str, Path]:
    """Return the sub-folders of a folder by name, hidden ones left out.

    Raises:
        InputError: The folder does not exist or has no sub-folder.
    """
    if not root.is_dir():
        raise InputError(f"{what}: no such folder: {root} (working directory: {Path.cwd()})")
    folders = {p.name: p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] not in "._"}
    if not folders:
        raise InputError(f"{what}: {root} has no sub-folder; expected one folder per style")
    return folders


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """Return at most `limit` items at equal steps; None or 0: all."""
    if not limit or len(items) <= limit:
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


def read_pictures(
    paths: Iterable[Path], size: int, problems: Problems
) -> tuple[Pictures, list[str]]:
    """Read image files as centred squares; those that can not be read are noted and left out.

    Returns:
        The pictures, uint8 `[N, 3, size, size]`, and their names without suffix.

    Raises:
        InputError: None can be read.
    """
    pictures, names, path = [], [], Path()
    for path in paths:
        try:
            image = resize_and_crop(open_image(path, min_side=size), size)
        except InputError as error:
            problems.files.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        pictures.append((to_tensor(image) * 255).round().to(torch.uint8))
        names.append(path.stem)
    if not pictures:
        raise InputError(f"none of the images in {path.parent} can be read")
    return torch.cat(pictures), names


def find_results(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the result of each photo: the image in the folder with the photo's name.

    That name may end in `_STYLE`, as `lgt transfer` writes it, STYLE being the folder's name.

    Raises:
        InputError: Photos without result, or two results of one photo.
    """
    found: dict[str, list[Path]] = {}
    for path in pictures_in(folder, "results"):
        found.setdefault(path.stem, []).append(path)
    for name in names:
        styled = f"{name}_{folder.name}"
        if name not in found and styled in found:
            found[name] = found.pop(styled)
    missing = [name for name in names if name not in found]
    if missing:
        extra = sorted(set(found) - set(names))
        hint = f", but there is {extra[0]}" if extra else ""
        raise InputError(
            f"{folder}: no result for {len(missing)} of {len(names)} photos, the first is "
            f"{missing[0]}{hint}; a result has its photo's file name, with any image suffix"
        )
    twice = [name for name in names if len(found[name]) > 1]
    if twice:
        files = ", ".join(p.name for p in found[twice[0]])
        raise InputError(f"{folder}: more than one result for the photo {twice[0]}: {files}")
    return [found[name][0] for name in names]
