"""The settings in a picture's record, as far as a replay follows them.

The record may come from anyone: its numbers are bounded, so that no picture keeps a machine busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lgt.errors import InputError
from lgt.paint.controls import MOST_REFINED
from lgt.paint.sampler import MOST_STEPS

_SIDE = 2**20
"""Pixels: longer than any side of a picture that is read."""
_STRENGTH = 1000.0
"""Far more than any push or noise that leaves a picture."""

Unit = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=0, le=_SIDE)]
Strength = Annotated[float, Field(ge=0, le=_STRENGTH)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Name = Annotated[str, Field(max_length=255)]


_ABSENT: Any = None
"""Of a setting that is not there; it may not be null, unless its type says so."""


def _key(name: str) -> Any:
    return Field(_ABSENT, alias=name)


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")

    strength: Unit = _ABSENT
    preserve_color: bool = _ABSENT
    canvas: Side | None = None
    style_scale: Strength = _ABSENT
    max_side: Side | None = None
    repulsion: Strength = _ABSENT
    tile: Side | None = None
    detail: Unit | None = None
    color: Unit | None = None
    refine: Annotated[int, Field(ge=0, le=MOST_REFINED)] = _ABSENT
    source_style: Name | None = None
    invert_mask: bool = _ABSENT
    mask_feather: Annotated[float, Field(ge=0, le=65536)] = _ABSENT
    precision: Name = _ABSENT
    num_steps: Steps = _key("inference.num_steps")
    temperature_lambda: Strength = _key("inference.temperature_lambda")
    temperature_threshold: Unit = _key("inference.temperature_threshold")
    use_cfg: bool = _key("inference.use_cfg")
    cfg_scale: Strength = _key("inference.cfg_scale")
    cfg_decay: bool = _key("inference.cfg_decay")
    cfg_rescale: Unit = _key("inference.cfg_rescale")
    start_time: Unit = _key("inference.start_time")
    key_detail: Unit = _key("inference.detail")
    key_color: Unit = _key("inference.color")
    solver: Name = _key("training.solver")
    start: Name = _key("training.start")
    objective: Name = _key("training.objective")
    source_subdirs: Annotated[list[Name], Field(max_length=1000)] = _key("data.source_subdirs")


CHANGES = frozenset(
    field.alias for field in _Settings.model_fields.values() if field.alias is not None
)
"""Configuration keys that a record may change: those that a painting writes."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a record that a replay does not follow.

    Raises:
        InputError: Names the first that is wrong.
    """
    for name in settings:
        if "." in name and name not in CHANGES:
            raise InputError(
                f"the record changes the configuration key {name[:80]!r}, which no painting "
                "writes; it is not followed"
            )
    try:
        _Settings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:1]))
        raise InputError(
            f"the record asks for {place} {str(first['input'])[:80]}, and a replay does not follow "
            f"that ({first['msg']}); paint it with `lgt transfer` if you want it"
        ) from error
