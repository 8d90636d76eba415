"""Style files: a style that was added to a trained model, small enough to send around.

The tensor `code` is what `LGTUNet.add_style` takes; everything else is one JSON text under the key
`lgt_style` of the file's metadata. Reading executes nothing. A style belongs to the weights that it
was learned with: the file names them by a hash.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from platformdirs import user_data_path
from safetensors import safe_open
from safetensors.numpy import save_file

from lgt.damage import MAX_INTEGER, count_of, in_short, read_json, text_of
from lgt.errors import CheckpointError, InputError
from lgt.files import atomic_write
from lgt.names import check_style_name

SUFFIX = ".safetensors"
FOLDER_VARIABLE = "LGT_STYLES"
"""Environment variable that names another folder for installed styles."""
MAX_BYTES = 1_000_000
THUMBNAIL_SIDE = 128
_KEY = "lgt_style"
WORKS = "works."
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class AddedStyle:
    """One style file."""

    name: str
    code: np.ndarray[Any, Any]
    """`[L]`, float32."""
    model: str
    """Hash of the weights that the style was learned with, from :func:`model_hash`."""
    num_works: int
    """Pictures that it was learned from."""
    base: str = ""
    """Style of the model that learning started from."""
    steps: int = 0
    thumbnail: bytes | None = None
    """A small JPEG picture."""
    works: Mapping[str, np.ndarray[Any, Any]] | None = None
    """How an image network sees its works, of :meth:`lgt.energy.works.WorksGaussians.packed`."""
    path: Path | None = None
    """Where the file lies."""

    def save(self, path: Path) -> None:
        """Write the file whole or not at all.

        Raises:
            InputError: It would be larger than 1 MB, or can not be written.
        """
        picture = self.thumbnail
        arrays = {f"{WORKS}{name}": value for name, value in (self.works or {}).items()}
        size = 4 * (self.code.size + sum(value.size for value in arrays.values())) + 4096
        if picture is not None and size + 4 * len(picture) // 3 > MAX_BYTES:
            picture = None
        if size > MAX_BYTES:
            raise InputError(
                f"style {self.name}: {size // 4} numbers do not fit into {MAX_BYTES} bytes"
            )
        content = {
            "format": _FORMAT,
            "name": self.name,
            "model": self.model,
            "num_works": self.num_works,
            "base": self.base,
            "steps": self.steps,
            "thumbnail": None if picture is None else base64.b64encode(picture).decode("ascii"),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, is_durable=True) as temporary:
                code = np.ascontiguousarray(self.code, np.float32)
                save_file({"code": code, **arrays}, temporary, {_KEY: json.dumps(content)})
        except OSError as error:
            raise InputError(f"{path}: can not be written ({error.strerror})") from error

    @classmethod
    def load(cls, path: str | Path, model: str | None = None) -> AddedStyle:
        """Read a style file.

        Args:
            path: The file.
            model: Hash of the model that it shall serve; None: any.

        Raises:
            CheckpointError: No such file, not a style file, damaged, or of another model.
        """
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"no such style file: {path} (working directory: {Path.cwd()})")
        try:
            with safe_open(path, framework="numpy") as file:
                content: dict[str, Any] = read_json((file.metadata() or {}).get(_KEY, "{}"))
                code = file.get_tensor("code") if content else np.empty(0)
                works = {
                    name.removeprefix(WORKS): file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118
                    if name.startswith(WORKS)
                }
        except Exception as error:
            raise CheckpointError(f"{path}: damaged, or not a style file ({error})") from error
        if not content or not isinstance(content, dict):
            raise CheckpointError(
                f"{path}: not a style file of `lgt add-style`; a whole model goes to --model"
            )
        if content.get("format") != _FORMAT:
            raise CheckpointError(
                f"{path}: has style format {content.get('format')}, this program reads {_FORMAT}; "
                "use a newer lgt"
            )
        try:
            thumbnail = content["thumbnail"]
            style = cls(
                name=text_of(content, "name"),
                code=code.astype(np.float32).reshape(-1)
                if code.ndim != 1
                else code.astype(np.float32),
                model=text_of(content, "model"),
                num_works=count_of(content, "num_works", 0, MAX_INTEGER),
                base=text_of(content, "base"),
                steps=count_of(content, "steps", 0, MAX_INTEGER),
                thumbnail=None if thumbnail is None else base64.b64decode(thumbnail),
                works=works or None,
                path=path,
            )
        except Exception as error:
            raise CheckpointError(
                f"{path}: the style file is damaged ({in_short(error)})"
            ) from error
        try:
            check_style_name(style.name)
        except InputError as error:
            raise CheckpointError(f"{path}: {error}") from error
        if not _NAME.fullmatch(style.name) or not np.isfinite(style.code).all():
            raise CheckpointError(f"{path}: the style file is damaged (name or numbers)")
        if model is not None and style.model != model:
            raise CheckpointError(
                f"{path}: style '{style.name}' was learned with another model (that one is "
                f"{style.model[:12]}, this one {model[:12]}); give that model with --model, or "
                "learn the style again with `lgt add-style`"
            )
        return style

    def picture(self) -> Image.Image | None:
        """Return the thumbnail as a picture; None where there is none that can be read."""
        if self.thumbnail is None:
            return None
        try:
            with Image.open(io.BytesIO(self.thumbnail), formats=("JPEG",)) as image:
                if max(image.size) > 4 * THUMBNAIL_SIDE:
                    return None
                return image.convert("RGB")
        except Exception:  # Decoders raise almost anything; a style is good without its picture.
            return None


def thumbnail_of(image: Image.Image) -> bytes:
    """Return a small JPEG of a picture."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def model_hash(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 of weights in half precision: a checkpoint's is its packed file's.

    Args:
        weights: Arrays, or tensors on the CPU.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        weight = np.asarray(weights[name])
        is_float = np.issubdtype(weight.dtype, np.floating)
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weight, np.float16 if is_float else None).tobytes())
    return digest.hexdigest()


def check_name(name: str, taken: tuple[str, ...] = ()) -> None:
    """Refuse what can not name a style.

    Raises:
        InputError: The name is not letters, digits, `_`, `.` and `-`, or is taken by the model.
    """
    if not _NAME.fullmatch(name) or name.endswith(SUFFIX) or name == "all":
        raise InputError(
            f"style name '{name}': use a letter, then letters, digits, '_', '.' or '-', at most 64 "
            "(and not `all`)"
        )
    if name in taken:
        raise InputError(
            f"style name '{name}': the model itself has this style ({', '.join(taken)}); choose "
            "another name"
        )


def styles_folder(model: str) -> Path:
    """Return where the styles of a model are installed, for this user; it may not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    root = Path(named) if named else user_data_path("lgt", appauthor=False) / "styles"
    return root / model[:16]


def installed_path(name: str, model: str) -> Path:
    """Return the file of an installed style; it may not exist."""
    return styles_folder(model) / f"{name}{SUFFIX}"


def installed_styles(model: str) -> list[AddedStyle]:
    """Return the styles installed for a model, by name; files that can not be read are left out."""
    found = []
    for path in sorted(styles_folder(model).glob(f"[!.]*{SUFFIX}")):
        try:
            found.append(AddedStyle.load(path, model))
        except CheckpointError:
            continue
    return found


def install_style(path: Path, model: str, taken: tuple[str, ...], *, overwrite: bool) -> AddedStyle:
    """Copy a style file to the user's folder.

    Raises:
        CheckpointError: The file is not a style of this model.
        InputError: The name is taken.
    """
    style = AddedStyle.load(path, model)
    check_name(style.name, taken)
    target = installed_path(style.name, model)
    if target.exists() and not overwrite:
        raise InputError(f"style '{style.name}' is installed already ({target}); use --overwrite")
    style.save(target)
    return replace(style, path=target)


def remove_style(name: str, model: str) -> Path:
    """Delete an installed style and return the path that its file had.

    Raises:
        InputError: It is not installed.
    """
    path = installed_path(name, model)
    if not _NAME.fullmatch(name) or not path.is_file():
        names = ", ".join(style.name for style in installed_styles(model)) or "none"
        raise InputError(f"style '{name}' is not installed for this model (installed: {names})")
    path.unlink()
    return path
