"""TAESD from the two weight files of its original release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lgt.codec.spec import CodecSourceError
from lgt.codec.tiny import TinyAutoencoder, empty_autoencoder, fill

_ENDINGS = (".safetensors", ".pth")


def find_variants(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the encoder and decoder file of each complete variant in a folder, by name.

    Files are called `<variant>_encoder.safetensors` and `<variant>_decoder.safetensors`, or `.pth`.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for ending in _ENDINGS:
        for encoder in sorted(folder.glob(f"*_encoder{ending}")):
            variant = encoder.name.removesuffix(f"_encoder{ending}")
            decoder = folder / f"{variant}_decoder{ending}"
            if decoder.is_file():
                found.setdefault(variant, (encoder, decoder))
    return found


def choose_variant(folder: Path, wanted: str | None) -> str:
    """Return the variant to load: the wanted one, `taesd`, or the only one.

    Raises:
        CodecSourceError: It is not there, or the choice is not clear.
    """
    variants = find_variants(folder)
    names = ", ".join(sorted(variants)) or "none"
    if wanted is not None and wanted not in variants:
        raise CodecSourceError(
            f"codec {folder}: no files {wanted}_encoder.safetensors and "
            f"{wanted}_decoder.safetensors (complete variants: {names})"
        )
    if wanted is not None:
        return wanted
    if not variants:
        raise CodecSourceError(
            f"codec {folder}: needs both taesd_encoder.safetensors and taesd_decoder.safetensors"
        )
    if "taesd" in variants:
        return "taesd"
    if len(variants) > 1:
        example = min(variants)
        raise CodecSourceError(
            f"codec {folder}: several variants ({names}); name one, as in {folder}#{example}"
        )
    return next(iter(variants))


def load_taesd(encoder_path: Path, decoder_path: Path) -> TinyAutoencoder:
    """Build the tiny autoencoder from the original encoder and decoder files.

    Encoder keys `<i>.` become `encoder.layers.<i>.`, decoder keys `<i>.` become
    `decoder.layers.<i-1>.` (the original counts its clamp as layer 0). Widths and block counts are
    read from the weights.

    Raises:
        CodecSourceError: A file is damaged or does not hold TAESD weights.
    """
    encoder, decoder = _read(encoder_path), _read(decoder_path)
    try:
        width = int(encoder["0.weight"].shape[0])
        last = max(_layer(key) for key in encoder)
        state = {f"encoder.layers.{key}": value for key, value in encoder.items()}
        for key, value in decoder.items():
            index, rest = key.split(".", 1)
            state[f"decoder.layers.{int(index) - 1}.{rest}"] = value
        encoder_blocks, decoder_blocks = _block_counts(encoder), _block_counts(decoder)
        config = {
            "latent_channels": int(encoder[f"{last}.weight"].shape[0]),
            "encoder_block_out_channels": (width,) * len(encoder_blocks),
            "decoder_block_out_channels": (int(decoder["1.weight"].shape[0]),)
            * len(decoder_blocks),
            "num_encoder_blocks": encoder_blocks,
            "num_decoder_blocks": decoder_blocks,
        }
        model = empty_autoencoder(config)
        if strangers := sorted(set(state) - set(model.state_dict())):
            raise ValueError(f"{len(strangers)} tensors too many, such as {strangers[0]}")
        fill(model, state)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        detail = str(error).strip().splitlines()[0]
        raise CodecSourceError(
            f"codec {encoder_path.parent}: {encoder_path.name} and {decoder_path.name} do not hold "
            f"TAESD weights in the layout of the original release ({detail})"
        ) from error
    return model


def _layer(key: str) -> int:
    return int(key.split(".", 1)[0])


def _block_counts(keys: Iterable[str]) -> tuple[int, ...]:
    """Count the residual blocks between one plain convolution and the next."""
    keys = list(keys)
    plain = sorted(_layer(k) for k in keys if re.fullmatch(r"\d+\.weight", k))
    blocks = {_layer(k) for k in keys if ".conv." in k}
    pairs = zip(plain, plain[1:], strict=False)
    return tuple(sum(low < block < high for block in blocks) for low, high in pairs)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds on damaged data
        raise CodecSourceError(
            f"codec {path}: can not read the weights ({error}); download the file again"
        ) from error
    return dict(weights)
