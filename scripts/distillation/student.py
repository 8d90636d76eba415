"""The student: the teacher with fewer blocks, and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lgt.codec.tiny import TinyAutoencoder, TinyBlock
from lgt.files import atomic_write


def blocks_of(layers: nn.Sequential) -> list[list[int]]:
    """Return the indices of the residual blocks of each resolution, in the order of the layers."""
    levels: list[list[int]] = [[]]
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d) and 0 < index < len(layers) - 1:
            levels.append([])
        elif hasattr(layer, "fuse"):
            levels[-1].append(index)
    return levels


def thin_out(layers: nn.Sequential, keep: Sequence[int], *, first: bool) -> list[int]:
    """Return the indices of the layers left when each resolution keeps its first or last blocks.

    Raises:
        SystemExit: More blocks wanted than there are.
    """
    levels = blocks_of(layers)
    if len(levels) != len(keep) or any(k > len(b) for k, b in zip(keep, levels, strict=True)):
        raise SystemExit(f"the teacher has {[len(b) for b in levels]} blocks, can not keep {keep}")
    dropped: set[int] = set()
    for count, blocks in zip(keep, levels, strict=True):
        dropped |= set(blocks[count:] if first else blocks[: len(blocks) - count])
    return [i for i in range(len(layers)) if i not in dropped]


def make_student(teacher: Any, encoder_blocks: Sequence[int], decoder_blocks: Sequence[int]) -> Any:
    """Build an `AutoencoderTiny` with fewer blocks; what is left starts as the teacher's."""
    from diffusers import AutoencoderTiny

    student: Any = AutoencoderTiny(
        encoder_block_out_channels=tuple(teacher.config["encoder_block_out_channels"]),
        decoder_block_out_channels=tuple(teacher.config["decoder_block_out_channels"]),
        latent_channels=teacher.config["latent_channels"],
        num_encoder_blocks=tuple(encoder_blocks),
        num_decoder_blocks=tuple(decoder_blocks),
    )
    for name, keep in (("encoder", encoder_blocks), ("decoder", decoder_blocks)):
        old, new = getattr(teacher, name).layers, getattr(student, name).layers
        # Measured before any training: least error with the encoder's first, the decoder's last.
        left = thin_out(old, keep, first=name == "encoder")
        for target, source in zip(new, left, strict=True):
            target.load_state_dict(old[source].state_dict())
    return student


def lightened(
    model: TinyAutoencoder,
    encoder_blocks: Sequence[int] | None = None,
    decoder_blocks: Sequence[int] | None = None,
) -> TinyAutoencoder:
    """Return a codec with other counts of blocks; what is left starts as the model's.

    Blocks that the model has not start as the identity. None leaves a half as it is.
    """
    counts = {"num_encoder_blocks": encoder_blocks, "num_decoder_blocks": decoder_blocks}
    changed = {name: tuple(count) for name, count in counts.items() if count is not None}
    light = TinyAutoencoder(**{**model.config, **changed})
    for name in ("encoder", "decoder"):
        old, new = getattr(model, name).layers, getattr(light, name).layers
        pairs = zip(_stages(old), _stages(new), strict=True)
        for (fixed, blocks), (new_fixed, new_blocks) in pairs:
            for target, source in zip(new_fixed, fixed, strict=True):
                target.load_state_dict(source.state_dict())
            kept = blocks[: len(new_blocks)] if name == "encoder" else blocks[-len(new_blocks) :]
            for target, source in zip(new_blocks, kept, strict=False):
                target.load_state_dict(source.state_dict())
            for extra in new_blocks[len(kept) :]:
                nn.init.zeros_(extra.conv[-1].weight)
                nn.init.zeros_(extra.conv[-1].bias)
    return light


def _stages(layers: nn.Sequential) -> list[tuple[list[nn.Module], list[Any]]]:
    """Return, for each resolution, the layers that are no blocks, and the blocks."""
    stages: list[tuple[list[nn.Module], list[Any]]] = [([], [])]
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d) and 0 < index < len(layers) - 1:
            stages.append(([], []))
        stages[-1][isinstance(layer, TinyBlock)].append(layer)
    return stages


def export(model: Any, folder: Path) -> None:
    """Write the model in diffusers layout, half precision."""
    from diffusers import AutoencoderTiny

    config = {k: v for k, v in model.config.items() if k != "block_out_channels"}
    copy: Any = AutoencoderTiny.from_config(config)
    copy.load_state_dict(model.state_dict())
    nn.Module.to(copy, dtype=torch.float16)
    copy.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in ("_name_or_path", "block_out_channels"):  # a path of this machine; a derived value
        config.pop(key, None)
    (folder / "diffusion_pytorch_model.safetensors").chmod(0o644)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
