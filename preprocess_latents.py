"""Turn folders of images into latents; the same as `lgt preprocess`."""

import sys

try:
    from lgt.cli import run_command
    from lgt.cli.preprocess import preprocess
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "lgt":
        raise
    sys.exit("error: the package lgt is not installed; run `pip install -e .` in this folder")

if __name__ == "__main__":
    run_command(preprocess)
