"""How large numbers of a configuration may be: beyond these a file is damaged, or made to harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lgt.config.schema import Config

LARGEST = {
    "latent_channels": 4096,
    "base_channels": 8192,
    "style_dim": 65536,
    "time_dim": 65536,
    "num_styles": 100_000,
    "num_encoder_blocks": 12,
    "num_decoder_blocks": 64,
    "style_head_channels": 8192,
    "num_corrector_blocks": 64,
}
"""Keys of `model`: each alone makes a network of many gigabytes."""
LARGEST_NUMBER = 1e15
"""Of all other keys but seeds: whole numbers up to it are exact in every format."""


def too_large(config: Config) -> Iterator[str]:
    """Yield what is wrong with the sizes of numbers."""
    sections: Mapping[str, Mapping[str, Any]] = config.model_dump()
    for section, keys in sections.items():
        for key, value in keys.items():
            limit = LARGEST.get(key, LARGEST_NUMBER) if section == "model" else LARGEST_NUMBER
            numbers = value if isinstance(value, (list, tuple)) else [value]
            for number in numbers:
                is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
                if is_number and abs(number) > limit and "seed" not in key:
                    yield f"{section}.{key}: must be at most {limit:g} (got {number:.3g})"
