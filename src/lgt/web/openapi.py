"""What `/openapi.json` says about forms, which are read part by part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel

from lgt.web.settings import Settings

PICTURE = {"type": "string", "format": "binary"}


class Refusal(BaseModel):
    """What is wrong, and a word for it that programs can test."""

    detail: str
    code: str


class JobState(BaseModel):
    """How far a job is."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    position: int | None
    """1 for the next job to run; null where it does not wait."""
    progress: float
    seconds: float | None
    """Of work."""
    error: str | None
    note: str | None
    is_gone: bool
    """Whether there was a picture that is no longer kept."""


class BatchState(BaseModel):
    """How far the jobs of a batch are; `done` when all are finished."""

    id: str
    state: Literal["running", "done"]
    jobs: list[JobState]


_MEANINGS = {
    400: "The request can not be read.",
    403: "A page of another site sent it.",
    404: "There is no such thing.",
    405: "It is not called in this way.",
    409: "There is no picture, or not yet.",
    410: "It was there, and is no longer kept.",
    413: "The upload has too many bytes.",
    415: "It is no form.",
    421: "The server does not answer to this name.",
    422: "A picture or a setting is not usable.",
    503: "The queue is full; `Retry-After` says when to come back.",
}
ALWAYS = (403, 413, 421)
"""What any call may be refused with."""
UPLOAD = (400, 415, 422, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the entries of `responses` for refusals, besides those that any call may meet."""
    return {
        status: {"model": Refusal, "description": _MEANINGS[status]}
        for status in sorted({*ALWAYS, *statuses})
    }


def gives(*media_types: str, schema: dict[str, Any] | None = None) -> dict[int | str, Any]:
    """Return the entry of `responses` for a body that is not JSON."""
    return {200: {"content": {kind: {"schema": schema or PICTURE} for kind in media_types}}}


EVENTS = gives("text/event-stream", schema={"type": "string"})

Kind = Annotated[Literal["png", "jpeg"], Query(description="Format of the picture.")]


def preview_schema() -> dict[str, Any]:
    """Return the `requestBody` of a form with one photo."""
    schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": PICTURE},
        "additionalProperties": False,
    }
    return _body(schema)


def form_schema(file_field: str, *, has_mask: bool) -> dict[str, Any]:
    """Return the `requestBody` of a form with photos and the fields of `Settings`."""
    properties: dict[str, Any] = {
        file_field: {"type": "array", "items": PICTURE, "minItems": 1}
        if file_field == "images"
        else PICTURE
    }
    if has_mask:
        properties["mask"] = PICTURE | {"description": "Greyscale; white is stylised."}
    for name, field in Settings.model_json_schema()["properties"].items():
        properties[name] = (
            {"type": "string", "description": field["description"]} if name == "blend" else field
        )
    schema = {
        "type": "object",
        "required": [file_field],
        "properties": properties,
        "additionalProperties": False,
        "anyOf": [{"required": ["style"]}, {"required": ["blend"]}],
    }
    return _body(schema)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
