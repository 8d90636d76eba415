"""Release files: a trained model alone, small enough to ship, as one `.safetensors`.

The tensors are the weights that inference uses, in float16, and what is kept of the works, in
float32. Everything else that inference needs is one JSON text under the key `lgt` of the file's
metadata. Reading executes nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lgt import __version__
from lgt.codec import EMBEDDED as EMBEDDED_CODEC
from lgt.codec import CodecSpec
from lgt.config import Config, config_to_dict
from lgt.damage import read_json
from lgt.errors import CheckpointError
from lgt.files import atomic_write

if TYPE_CHECKING:
    from lgt.model.checkpoint import Checkpoint

SUFFIX = ".safetensors"
PICTURES_ROOT = "data/raw"
"""Where the documentation has the pictures of the styles."""
_KEY = "lgt"
WORKS = "works."
"""Begins the names of what is kept of the styles' works, in float32: covariances in float16 would
not be any."""
_LIMIT = torch.finfo(torch.float16).max
_ZIP = b"PK\x03\x04"
"""First bytes of a `.pt` file."""


def is_release(path: Path) -> bool:
    """Tell a release file from a `.pt`: by its first bytes, else by its suffix."""
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(_ZIP):
        return False
    return path.suffix == SUFFIX or start[8:] == b"{"


def write_release(checkpoint: Checkpoint, path: Path) -> None:
    """Write what inference needs of a checkpoint; no path of this machine goes in.

    Args:
        checkpoint: Its averaged weights are taken, if it has any.
        path: The file; missing folders are made, an existing file is replaced.

    Raises:
        CheckpointError: A weight is beyond float16, or the codec is a folder of this machine
            whose latents no other source gives.
    """
    weights = {}
    for name, weight in checkpoint.inference_weights.items():
        if weight.is_floating_point() and not bool((weight.abs() <= _LIMIT).all()):
            raise CheckpointError(
                f"{name} holds values beyond float16 (at most {_LIMIT:.0f}) or not finite; this "
                "checkpoint can not be packed, take an earlier one"
            )
        is_float = weight.is_floating_point()
        weights[name] = (weight.half() if is_float else weight).contiguous()
    if checkpoint.works is not None:
        weights |= {f"{WORKS}{name}": t for name, t in checkpoint.works.packed().items()}
    codec = None if checkpoint.codec is None else portable_codec(checkpoint.codec)
    content = {
        "schema_version": checkpoint.version,
        "lgt_version": __version__,
        "config": portable_config(checkpoint.config, codec),
        "style_names": list(checkpoint.style_names),
        "codec": None if codec is None else codec.to_dict(),
        "latent_shape": list(checkpoint.latent_shape),
        "step": checkpoint.step,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, is_durable=True) as temporary:
        save_file(weights, temporary, {_KEY: json.dumps(content)})


def read_release(path: Path) -> dict[str, Any]:
    """Return what a `.pt` checkpoint would hold, without optimiser state; weights in float32."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _KEY not in metadata:
        return {}
    works = {n.removeprefix(WORKS): w for n, w in weights.items() if n.startswith(WORKS)}
    network = {
        n: w.float() if w.is_floating_point() else w
        for n, w in weights.items()
        if not n.startswith(WORKS)
    }
    rest = {"ema": None, "optimizer": None, "collapse_count": 0, "is_collapsed": False}
    content: dict[str, Any] = read_json(metadata[_KEY])
    return {**content, **rest, "works": works or None, "network": network}


def portable_codec(spec: CodecSpec) -> CodecSpec:
    """Return the codec with a source that every installation has.

    Stable Diffusion's latents, of whichever of its autoencoders, become the embedded codec's.

    Raises:
        CheckpointError: Other latents, of a codec in a local folder.
    """
    if spec.is_stable_diffusion:
        return replace(spec, source=EMBEDDED_CODEC)
    folder = Path(spec.source.removeprefix("taesd:").partition("#")[0]).expanduser()
    if folder.is_absolute() or folder.is_dir() or spec.source.startswith((".", "taesd:")):
        raise CheckpointError(
            f"its codec {spec.name} is a folder of this machine ({spec.source}), and its latents "
            "are not Stable Diffusion's; train with a codec that has a hub id to pack the model"
        )
    return spec


def portable_config(config: Config, codec: CodecSpec | None) -> dict[str, Any]:
    """Return the configuration as plain values, with this machine's folders left out."""
    values, plain = config_to_dict(config), config_to_dict(type(config)())
    values["data"]["data_root"] = plain["data"]["data_root"]
    values["data"]["codec"] = plain["data"]["codec"] if codec is None else codec.source
    values["checkpoint"]["save_dir"] = plain["checkpoint"]["save_dir"]
    values["loss"]["works_root"] = PICTURES_ROOT if config.loss.works_root else ""
    values["training"]["init_from"] = plain["training"]["init_from"]
    if values["loss"]["perceptual_network"] not in ("none", "decoded"):
        values["loss"]["perceptual_network"] = "auto"
    return values
