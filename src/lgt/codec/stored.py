"""Which codecs a file may name: a model or the record in a picture may come from anyone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lgt.errors import InputError

ENVIRONMENT_VARIABLE = "LGT_CODEC"
"""Names the codec that `auto` takes, if set."""

_BUILT_IN = re.compile(r"auto|embedded|dct(:[0-9]{1,3})?")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def check_stored_source(source: object, asked_by: str, option: str = "--codec") -> str:
    """Return the source of a codec that a file names, if it may.

    A file may name what is part of this package, and what lies in the hub's local cache, as the
    user has fetched that. It opens no other folder and contacts no network: for that the user
    names the codec.

    Args:
        source: What stands in the file.
        asked_by: What messages call the file.
        option: How the user names a codec.

    Raises:
        InputError: It is another one.
    """
    text = source if isinstance(source, str) else ""
    if _BUILT_IN.fullmatch(text):
        return text
    if text and os.environ.get(ENVIRONMENT_VARIABLE, "").strip() == text:
        return text
    if _HUB_ID.fullmatch(text) and not Path(text).exists() and _is_cached(text):
        return text
    raise InputError(
        f"{asked_by} asks for the codec {str(source)[:200]!r}, which is not part of lgt, and a "
        "file does not decide what is opened or fetched; if you want that codec, name it with "
        f"{option}"
    )


def _is_cached(hub_id: str) -> bool:
    from lgt.codec.hub import is_cached

    return is_cached(hub_id)
