"""What ships inside the package: where the files of the model and of its codec lie."""

from __future__ import annotations

from pathlib import Path

from lgt.errors import CheckpointError

EMBEDDED = "embedded"
"""Names the model inside the package wherever a checkpoint is asked for."""

ASSETS = Path(__file__).resolve().parents[1] / "assets"

MODEL_FOLDER = ASSETS / "model"
"""The model's file, its card and its pictures."""

CODEC_FILE = ASSETS / "codec" / "diffusion_pytorch_model.safetensors"
"""Weights of the embedded codec."""

MODEL_NAME, SOURCE_NAME, PICTURES = "model.safetensors", "source.jpg", "thumbnails"


def find_model(source: str | Path) -> Path:
    """Return the file of a model, of a folder the one in it; `embedded` is that of the package.

    Raises:
        CheckpointError: The installation has no model.
    """
    if str(source) != EMBEDDED:
        inside = Path(source) / MODEL_NAME
        return inside if inside.is_file() else Path(source)
    path = MODEL_FOLDER / MODEL_NAME
    if not path.is_file():
        raise CheckpointError(
            f"model 'embedded': its file is missing from the installation ({path}); install lgt "
            "again, or name a checkpoint of `lgt train`"
        )
    return path


def thumbnail(style: str) -> Path:
    """Return where the shipped model's picture of a style lies."""
    return MODEL_FOLDER / PICTURES / f"{style}.jpg"
