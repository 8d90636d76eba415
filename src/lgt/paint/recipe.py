"""Recipes: all that decides a picture besides the photo and the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lgt.errors import InputError
from lgt.paint.controls import Controls
from lgt.paint.picture import Picture
from lgt.paint.provenance import FileRecord, Provenance
from lgt.paint.recorded import check_settings
from lgt.paint.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to paint, for any photo."""

    style: Mapping[str, float] | None
    """Weight of each style by name; None: the photo (below the regions)."""
    seed: int = 0
    source_style: str | None = None
    sampler: Sampler | None = None
    """How the path is integrated; None: as the model was loaded."""
    controls: Controls = field(default_factory=Controls)
    mask: Picture | None = None
    """White is painted; stretched to the photo."""
    detail_mask: Picture | None = None
    invert_mask: bool = False
    mask_feather: float = 0.0
    """Blur of the borders of all masks, in pixels of the photo."""
    regions: tuple[tuple[Picture, Mapping[str, float]], ...] = ()
    """Masks and their styles, lowest first."""

    def __post_init__(self) -> None:
        if not self.mask_feather >= 0:
            raise InputError(f"mask_feather must be at least 0 pixels (got {self.mask_feather})")

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, without masks, as JSON holds it."""
        plain = asdict(Controls())
        changed = {k: v for k, v in asdict(self.controls).items() if v != plain[k]}
        values = {
            "source_style": self.source_style,
            "invert_mask": self.invert_mask,
            "mask_feather": self.mask_feather,
        }
        return changed | {name: value for name, value in values.items() if value}


def recipe_of(made: Provenance, find_mask: Callable[[FileRecord], Picture]) -> Recipe:
    """Return the recipe that a picture was painted by.

    Args:
        made: What the picture's file says.
        find_mask: Reads a mask again.

    Raises:
        InputError: It is a sheet, or holds settings that this version does not know.
    """
    if made.sheet:
        raise InputError("this is a sheet of several pictures; replay the single pictures")
    check_settings(made.settings)
    settings = {k: v for k, v in made.settings.items() if "." not in k and k != "precision"}
    controls = {k: settings.pop(k) for k in asdict(Controls()) if k in settings}
    controls.setdefault("canvas", 0)  # Before there were canvases, all were the photo's size.
    controls.setdefault("color", 0.0)  # Before this came back, all had the style's palette alone.
    own = ("source_style", "invert_mask", "mask_feather", "mask", "detail_mask")
    unknown = sorted({*settings, *made.masks} - {*own})
    if unknown:
        raise InputError(
            f"the settings {', '.join(unknown)} are of another version of LGT "
            f"({made.lgt_version}); replay with that version"
        )
    values = settings | {kind: find_mask(record) for kind, record in made.masks.items()}
    return Recipe(
        style=made.style,
        seed=made.seed,
        controls=Controls(**controls),
        regions=tuple((find_mask(region.mask), region.style) for region in made.regions),
        **values,
    )
