"""Find and load a codec by name."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch

from lgt.codec.dct import DCTCodec
from lgt.codec.diffusers_codecs import from_folder
from lgt.codec.learned import TinyCodec
from lgt.codec.spec import CodecSourceError, LatentCodec
from lgt.codec.stored import ENVIRONMENT_VARIABLE
from lgt.codec.taesd import choose_variant, find_variants, load_taesd
from lgt.device import available_device, resolve_dtype

DEFAULT_HUB_ID = "stabilityai/sd-vae-ft-mse"
"""The Stable Diffusion 1.x autoencoder with the better decoder; the embedded codec's family."""

EMBEDDED = "embedded"
"""The codec inside the package, which `auto` takes."""

EMBEDDED_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "codec"
"""Its files, in diffusers layout."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SOURCES = (
    "auto, embedded, dct, dct:CHANNELS, a hub id such as stabilityai/sd-vae-ft-mse or "
    "madebyollin/taesd, or a local folder"
)


def load_codec(
    source: str = "auto",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LatentCodec:
    """Load an image codec.

    Args:
        source: One of
            `auto` (the environment variable LGT_CODEC if set, else `embedded`);
            `embedded` (part of the package: small, fast, with Stable Diffusion's latents);
            `dct` or `dct:16` (no weights; the number is that of the latent channels);
            a hub id `owner/name`, such as `stabilityai/sd-vae-ft-mse`, fetched once;
            a local folder in diffusers layout (also a pipeline's, with `vae/` in it);
            a local folder with TAESD's two original weight files, also written `taesd:FOLDER`;
            `FOLDER#taesdxl` picks a variant.
        device: Where it computes.
        dtype: float32 or bfloat16.

    Raises:
        CodecError: It can not be found, fetched or read; the message says what to do.
    """
    dtype = resolve_dtype(dtype)
    where = available_device(device)
    codec = _load_auto() if source == "auto" else _load_named(source)
    return codec.to(where, dtype)


def load_vae(
    device: torch.device | str = "cpu", source: str = "auto", dtype: torch.dtype | None = None
) -> LatentCodec:
    """Load an image codec for a device; see :func:`load_codec`."""
    return load_codec(source, device=device, dtype=dtype or torch.float32)


def _load_auto() -> LatentCodec:
    named = os.environ.get(ENVIRONMENT_VARIABLE, "").strip()
    if named and named != "auto":
        return _load_named(named)
    return _load_named(EMBEDDED)


def _load_named(source: str) -> LatentCodec:
    if source == "dct" or source.startswith("dct:"):
        return _load_dct(source)
    if source == EMBEDDED:
        return _load_embedded()
    path_text, _, variant = source.removeprefix("taesd:").partition("#")
    folder = Path(path_text).expanduser()
    if source.startswith("taesd:") or (path_text and folder.is_dir()):
        return _load_folder(folder, variant or None, source)
    if folder.is_file():
        raise CodecSourceError(f"codec '{source}': is a file; give the folder that holds it")
    is_path = source.startswith((".", "/", "~")) or "\\" in source
    if _HUB_ID.fullmatch(source) and not is_path:
        from lgt.codec.hub import load_hub

        return load_hub(source)
    what = "no such folder" if is_path or "/" in source else "not a codec"
    raise CodecSourceError(f"codec '{source}': {what}; use {_SOURCES}")


def _load_dct(source: str) -> LatentCodec:
    _, _, count = source.partition(":")
    if source == "dct":
        return DCTCodec()
    if not (count.isascii() and count.isdecimal() and len(count) < 10):
        raise CodecSourceError(
            f"codec '{source}': expected a number of channels after 'dct:', as in dct:16"
        )
    return DCTCodec(int(count))


def _load_embedded() -> LatentCodec:
    if not (EMBEDDED_FOLDER / "config.json").is_file():
        raise CodecSourceError(
            f"codec 'embedded': its files are missing from the installation ({EMBEDDED_FOLDER}); "
            "install lgt again"
        )
    return from_folder("AutoencoderTiny", EMBEDDED_FOLDER, EMBEDDED, EMBEDDED)


def _load_folder(folder: Path, variant: str | None, source: str) -> LatentCodec:
    if not folder.is_dir():
        raise CodecSourceError(f"codec '{source}': no such folder: {folder}")
    if variant is None and not source.startswith("taesd:"):
        for candidate in (folder, folder / "vae"):
            if (candidate / "config.json").is_file():
                return _load_diffusers_folder(candidate, source)
        if not find_variants(folder):
            seen = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
            raise CodecSourceError(
                f"codec '{source}': the folder holds neither a diffusers autoencoder (config.json, "
                "or vae/config.json) nor TAESD's taesd_encoder.safetensors and "
                f"taesd_decoder.safetensors; found {seen}"
            )
    chosen = choose_variant(folder, variant)
    model = load_taesd(*find_variants(folder)[chosen])
    return TinyCodec(model, name=chosen, source=source)


def _load_diffusers_folder(folder: Path, source: str) -> LatentCodec:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        class_name = str(config.get("_class_name"))
    except (OSError, ValueError, AttributeError) as error:
        raise CodecSourceError(
            f"codec '{source}': can not read {folder / 'config.json'} ({error})"
        ) from error
    if class_name == "None":
        raise CodecSourceError(
            f"codec '{source}': {folder / 'config.json'} is not the config of a diffusers model "
            "(no '_class_name')"
        )
    name = folder.parent.name if folder.name == "vae" else folder.name
    return from_folder(class_name, folder, source, name)
