"""Files of `lgt pack` without torch: the configuration and the weights, and what graphs express."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from lgt.damage import read_json
from lgt.errors import CheckpointError, InputError
from lgt.extras import torch_advice
from lgt.names import check_style_names

WORKS = "works."
"""As in :mod:`lgt.model.release`, which needs torch."""
Array = np.ndarray[Any, np.dtype[np.float32]]


Keys = dict[str, Any]
"""A configuration as plain values: sections and their keys."""


def read_model(path: Path, changes: Sequence[str] = ()) -> tuple[Keys, Keys, int]:
    """Return a model's configuration, changed and as trained, and the side of its latents then.

    Args:
        path: A `.safetensors` file of `lgt pack`.
        changes: Configuration keys to change, `SECTION.KEY=VALUE`.

    Raises:
        CheckpointError: No such file, damaged, or a model that the graphs do not express.
        ConfigError: A change is wrong.
    """
    names, metadata = _header(path)
    try:
        content = read_json(metadata["lgt"])
        trained: dict[str, Any] = content["config"]
        side = min(int(side) for side in content["latent_shape"][1:])
        for section in ("model", "data", "inference", "training"):
            dict(trained[section])
        for styles in (content["style_names"], trained["data"]["style_subdirs"]):
            check_style_names(styles)
    except InputError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # Whatever is wrong with it.
        raise CheckpointError(
            f"{path}: not a file of `lgt pack` ({error}); backends other than torch read those only"
            f"{torch_advice()}"
        ) from error
    if found := list(_inexpressible(trained, names)):
        what = f"{', '.join(found)}{torch_advice()}"
        raise CheckpointError(f"{path}: only --backend torch can do {what}")
    if not changes:
        return trained, trained, side
    from lgt.config import change_config, config_to_dict, read_stored

    stored, _ = read_stored(trained, str(path))
    return config_to_dict(change_config(stored, changes, str(path))), trained, side


def read_weights(path: Path) -> Iterator[tuple[str, Array]]:
    """Yield names and float32 values, in the order of the names.

    Raises:
        CheckpointError: The file can not be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            for name in sorted(file.keys()):
                if name.startswith(WORKS):  # Graphs do not refine.
                    continue
                yield name, file.get_tensor(name).astype(np.float32)
    except Exception as error:
        raise CheckpointError(f"{path}: not a readable .safetensors file ({error})") from error


def keeps_works(path: Path) -> bool:
    """Tell whether a file of `lgt pack` has kept how the works of its styles look."""
    return any(name.startswith(WORKS) for name in _header(path)[0])


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file (working directory: {Path.cwd()})")
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys()), dict(file.metadata() or {})
    except Exception as error:  # the reader raises many kinds on damaged data
        raise CheckpointError(
            f"{path}: not a readable .safetensors file ({error}); backends other than torch read "
            f"files of `lgt pack`{torch_advice()}"
        ) from error


def _inexpressible(config: dict[str, Any], names: list[str]) -> Iterator[str]:
    """Yield what of a model the graphs do not express.

    Args:
        config: Its configuration.
        names: Names of its weights.
    """
    model = config["model"]
    if model["style_kernel_size"] != 3:
        yield "style_kernel_size other than 3"
    if not any("hypernetwork" in name for name in names):
        yield "style_injection adagn"
    if config["data"]["codec"] != "embedded":
        yield "a codec other than embedded"
