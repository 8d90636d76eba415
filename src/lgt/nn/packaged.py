"""Small networks that lie in a folder: their sizes in JSON, their weights in half precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lgt.errors import InputError
from lgt.files import atomic_write

WEIGHTS_NAME, CONFIG_NAME = "model.safetensors", "config.json"

N = TypeVar("N", bound=nn.Module)


def read_network(
    folder: Path, what: str, advice: str, build: Callable[[Mapping[str, Any]], N]
) -> N:
    """Return the network of a folder, frozen.

    Args:
        folder: Holds `config.json` and `model.safetensors`.
        what: What it is, for errors.
        advice: What to do where there is none.
        build: Builds it from what `config.json` says.

    Raises:
        InputError: The folder does not hold such a network.
    """
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise InputError(f"{what}: no {name} in {folder}; {advice}")
    try:
        network = build(json.loads((folder / CONFIG_NAME).read_text()))
        weights = load_file(folder / WEIGHTS_NAME)
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    except Exception as error:  # Whatever is wrong with it.
        raise InputError(f"{what}: {folder} is damaged ({error}); {advice}") from error
    return network.eval().requires_grad_(False)


def write_network(folder: Path, sizes: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write the folder that :func:`read_network` reads.

    Args:
        folder: Is made.
        sizes: What its network is built from.
        weights: Its state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: value.to("cpu", torch.float16).contiguous() for name, value in weights.items()}
    with atomic_write(folder / WEIGHTS_NAME) as temporary:
        save_file(halves, temporary)
    with atomic_write(folder / CONFIG_NAME) as temporary:
        temporary.write_text(json.dumps(dict(sizes), indent=2) + "\n")
