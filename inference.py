"""Use a trained model, as a module (`from inference import LGTInference`) or as a program."""

import sys

try:
    from lgt.inference import *  # noqa: F403  (the documented import names)
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "lgt":
        raise
    sys.exit("error: the package lgt is not installed; run `pip install -e .` in this folder")

if __name__ == "__main__":
    from lgt.cli import run_command
    from lgt.cli.transfer import inference

    run_command(inference)
