"""Names that come from files: what may become a part of a path, on any system.

A model, a style file, a manifest or the record in a picture may come from anyone. What they name is
checked here when they are loaded, so that no name leads out of the folder it is meant for.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence

from lgt.errors import InputError

MAX_BYTES = 1024
"""Bytes of one part of a path: more than any file system allows."""
_DEVICES = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\..*)?", re.IGNORECASE
)
"""Names under which Windows opens a device instead of a file."""
_DRIVE = re.compile(r"[A-Za-z]:")
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They show what follows in another order than it is."""
_UNSHOWN = frozenset({"Cc", "Zl", "Zp"})
"""Control characters, and ends of lines and paragraphs."""


def check_style_name(name: object) -> str:
    """Return the name of a style; forward slashes part it, as a style may be a sub-folder.

    Raises:
        InputError: It leads elsewhere, or can not be shown or written.
    """
    text = check_file_name(name, is_nested=True)
    if any(_is_control(c) for c in text):
        raise _refusal(text, "holds control characters")
    if any(_DEVICES.fullmatch(part) for part in text.split("/")):
        raise _refusal(text, "is that of a device on Windows")
    return text


def check_style_names(names: object) -> tuple[str, ...]:
    """Return the names of a model's styles.

    Raises:
        InputError: They are no list of names, or one is not usable.
    """
    if not isinstance(names, (list, tuple)):
        raise InputError(f"the styles must be a list of names (got {type(names).__name__})")
    return tuple(check_style_name(name) for name in names)


def check_file_name(name: object, *, is_nested: bool = False) -> str:
    """Return the name of a file, as it is.

    Args:
        name: What stands in a file.
        is_nested: Whether it is a path below a folder, with forward slashes.

    Raises:
        InputError: It leads elsewhere.
    """
    if not isinstance(name, str):
        raise InputError(f"a name must be text (got {type(name).__name__})")
    if problem := _problem(name, is_nested):
        raise _refusal(name, problem)
    return name


def is_hidden(name: str) -> bool:
    """Tell hidden files and folders, which never count, by their name."""
    return name.startswith(".") or name == "__MACOSX"


def file_part(label: str) -> str:
    """Return a label, such as a style's name, as a part of a file's name."""
    return label.replace("/", "_").replace("\\", "_")


def visible(text: str) -> str:
    """Return a text for a terminal: control characters but ends of lines and tabs are spelt out."""
    if text.isprintable():
        return text
    return "".join(_spelt(c) if _is_control(c) and c not in "\n\t" else c for c in text)


def _is_control(c: str) -> bool:
    return unicodedata.category(c) in _UNSHOWN or c in _BIDIRECTIONAL


def _spelt(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def _refusal(name: str, problem: str) -> InputError:
    seen = name if len(name) <= 80 else f"{name[:80]}..."
    return InputError(f"the name {seen!r} {problem}, and is not taken from a file")


def _problem(name: str, is_nested: bool) -> str | None:
    # A file of Linux may be called what leads elsewhere on Windows; what names a folder may not.
    is_strict = is_nested or os.name == "nt"
    parts: Sequence[str] = name.split("/") if is_nested else [name]
    if name.startswith("/") or (is_strict and _DRIVE.match(name)):
        return "begins at the top of a disk"
    for part in parts:
        # Windows drops dots and spaces at the end of a name.
        if not (part.strip(". ") if is_strict else part.replace("..", ".") not in ("", ".")):
            return "leads out of its folder" if ".." in name else "has an empty part"
        if len(os.fsencode(part)) > MAX_BYTES:
            return f"is longer than {MAX_BYTES} bytes"
    if "\0" in name:
        return "holds a zero byte"
    if "/" in name and not is_nested:
        return "names a folder"
    if "\\" in name and is_strict:
        return "holds a backslash"
    if os.name == "nt" and (":" in name or any(_DEVICES.fullmatch(part) for part in parts)):
        return "is none on this system"
    return None
