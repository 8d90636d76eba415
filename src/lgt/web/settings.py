"""What a client may ask of one transfer, checked before any work starts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from lgt.config.wording import describe, shown
from lgt.errors import InputError
from lgt.paint.controls import MIN_CANVAS

MOST_REFINED = 40
"""Steps that one client may ask for: more change little."""
MAX_DRAWN_SEED = 10**9
"""Seeds that the server draws are below it, so that the page's field can hold them."""


def _blend(value: object) -> object:
    """Read a blend sent as JSON text in a form."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(
                'must be a JSON object such as {"monet": 0.5, "vangogh": 0.5} '
                f"(got {shown(value)})"
            ) from None
    return value


def _canvas(value: int | None) -> int | None:
    if value is not None and 0 < value < MIN_CANVAS:
        raise ValueError(f"must be 0 or at least {MIN_CANVAS} pixels (got {value})")
    return value


class Settings(BaseModel):
    """Form fields of a job; `style` or `blend` must be there, the rest has defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    style: str | None = Field(None, max_length=200, description="Style to give, by name or id.")
    blend: Annotated[dict[str, float] | None, BeforeValidator(_blend)] = Field(
        None, description="Styles and their weights, as a JSON object; instead of `style`."
    )
    source_style: str | None = Field(
        None, max_length=200, description="Style that the photo has, if known."
    )
    strength: float = Field(1.0, ge=0, le=1, description="0 leaves the photo, 1 is the full style.")
    preserve_color: bool = Field(False, description="Keep the photo's colours.")
    canvas: Annotated[int | None, AfterValidator(_canvas)] = Field(
        None,
        ge=0,
        le=65536,
        description="Short side in pixels at which larger photos are painted; 0: their own; "
        "empty: the model's.",
    )
    style_scale: float = Field(
        1.0, ge=0.25, le=8, description="Size of the brush marks; 1 is that of training."
    )
    seed: int | None = Field(
        0,
        ge=0,
        lt=2**63,
        description="Same seed, same picture; empty draws anew every time. Matters where the "
        "model draws noise (`is_random` of /api/health) or `temperature_lambda` is above 0.",
    )
    num_steps: int | None = Field(
        None, ge=1, le=100, description="Solver steps; empty: the model's own number."
    )
    max_side: int | None = Field(
        None,
        ge=16,
        le=65536,
        description="Shrink the photo to this longest side first, in pixels; empty: never.",
    )
    detail: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the photo's lost detail to give back; empty: the model's own.",
    )
    color: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the photo's broad colours to give back; empty: the model's own.",
    )
    refine: int = Field(
        0,
        ge=0,
        le=MOST_REFINED,
        description="Steps down the energy of the training, in which strokes and outlines become "
        "those of the works; 3 do most of it. Where /api/health has a default for it.",
    )
    repulsion: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Push away from the look of the photo, or of `source_style` if given.",
    )
    temperature_lambda: float | None = Field(
        None,
        ge=0,
        le=10,
        description="Noise of the late steps, for which `num_steps` must be above 1: lets `seed` "
        "matter; empty: the model's own.",
    )

    @model_validator(mode="after")
    def _one_target(self) -> Settings:
        if (self.style is None) == (self.blend is None):
            seen = "both" if self.style is not None else "neither"
            raise ValueError(f"give either style or blend (got {seen})")
        if self.blend is not None:
            weights = list(self.blend.values())
            if not weights or len(weights) > 16:
                raise ValueError(f"blend: must name 1 to 16 styles (got {len(weights)})")
            if min(weights) < 0 or max(weights) <= 0 or max(weights) > 1e6:
                raise ValueError(
                    "blend: weights must be at least 0, one of them above 0 "
                    f"(got {shown(self.blend)})"
                )
        return self

    def with_seed(self) -> Settings:
        """Return settings with a seed: their own, or a drawn one where it is None."""
        if self.seed is not None:
            return self
        return self.model_copy(update={"seed": secrets.randbelow(MAX_DRAWN_SEED)})

    @property
    def named_styles(self) -> tuple[str, ...]:
        """Every style named as a target."""
        return tuple(self.blend) if self.blend is not None else (str(self.style),)

    @property
    def label(self) -> str:
        """A short name of the target, as in `monet` or `monet+durer`."""
        return "+".join(self.named_styles)


def parse_settings(fields: Mapping[str, Any]) -> Settings:
    """Check form fields; an empty field counts as absent, but for `seed`, where it means None.

    Raises:
        InputError: Lists everything that is wrong.
    """
    given: dict[str, Any] = {k: v for k, v in fields.items() if v != "" or k not in _NAMES}
    if fields.get("seed") == "":
        given["seed"] = None
    problems = [
        f"unknown field {shown(name)}{_suggest(name)}" for name in given if name not in _NAMES
    ]
    try:
        settings = Settings.model_validate({k: v for k, v in given.items() if k in _NAMES})
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems += dict.fromkeys(describe(e, has_sections=False) for e in found)
    else:
        if not problems:
            return settings
    raise InputError("; ".join(problems))


_NAMES = frozenset(Settings.model_fields)


def _suggest(name: str) -> str:
    close = get_close_matches(name, sorted(_NAMES), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
