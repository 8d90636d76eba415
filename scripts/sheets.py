"""What scripts that draw a sheet share."""

from __future__ import annotations

import argparse
from pathlib import Path

from lgt.errors import InputError
from lgt.image import image_format


def picture_file(said: str) -> Path:
    """Return the name of a picture that can be written, before the work that makes it.

    Raises:
        argparse.ArgumentTypeError: Its suffix names no kind of picture.
    """
    try:
        image_format(Path(said))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(said)
