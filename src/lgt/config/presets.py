"""Named configurations: `lgt config init --preset NAME` writes one, complete and commented."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.config.load import config_from_dict, load_config
from lgt.errors import InputError

if TYPE_CHECKING:
    from lgt.config.schema import Config

PLAIN: dict[str, dict[str, Any]] = {
    "model": {"condition_on_source": False},
    "loss": {
        "style_bands": "raw",
        "patch_dilations": [1],
        "texture_gain": 1.0,
        "bank_works": 1,
        "assigned_works": 0,
        "perceptual_network": "none",
        "feature_gain": 0.0,
        "feature_content_gain": 0.0,
        "content_patch_size": 1,
        "content_scales": [1],
        "content_gain": 1.0,
        "w_identity": 0.0,
    },
    "training": {
        "start": "noised_source",
        "start_time_range": [0.0, 1.0],
        "use_langevin": False,
    },
    # Its path from pure noise would never see the photo.
    "inference": {"start_time": 0.5, "detail": 0.0},
}
"""The method as first documented: `E(x_1) = w_style * SWD + w_content * SSM`, raw 3 x 3 patches of
one work against those of the output, self-similarity of single positions, paths from a noised
source, noise at inference alone."""

OT_CFM: dict[str, dict[str, Any]] = {
    "model": {"style_injection": "adagn", "condition_on_source": False},
    "training": {"objective": "ot_cfm", "use_langevin": False},
    "inference": {"temperature_lambda": 0.0},
}
"""The baseline. It ignores `loss`, and does by itself what is said here beside the objective."""


ASSETS = Path(__file__).parents[1] / "assets"


@dataclass(frozen=True)
class Preset:
    """A named configuration."""

    meaning: str
    """What it is, in a few words."""
    values: dict[str, dict[str, Any]] | Path
    """What differs from the defaults, or the file that says so."""


PRESETS: dict[str, Preset] = {
    "default": Preset("what is done when nothing is said", {}),
    "plain": Preset("the method as first documented", PLAIN),
    "painters": Preset("for works of 256 pixels", ASSETS / "presets" / "painters.json"),
    "large": Preset(
        "the recipe of the shipped model, for works whose strokes show",
        ASSETS / "model" / "config.json",
    ),
    "ot_cfm": Preset("the baseline, flow matching with optimal transport", OT_CFM),
}
"""By name."""


def preset(name: str) -> Config:
    """Return a named configuration.

    Raises:
        InputError: There is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset '{name}'; presets are {', '.join(PRESETS)}")
    values = PRESETS[name].values
    if isinstance(values, Path):
        return load_config(values)
    return config_from_dict(values, f"preset {name}")
