"""What `/openapi.json` says about forms, which are read part by part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query

from lgt.web.settings import Settings

Kind = Annotated[Literal["png", "jpeg"], Query(description="Format of the picture.")]


def preview_schema() -> dict[str, Any]:
    """Return the `requestBody` of a form with one photo."""
    picture = {"type": "string", "format": "binary"}
    schema = {"type": "object", "required": ["image"], "properties": {"image": picture}}
    return _body(schema)


def form_schema(file_field: str, *, has_mask: bool) -> dict[str, Any]:
    """Return the `requestBody` of a form with photos and the fields of `Settings`."""
    picture = {"type": "string", "format": "binary"}
    properties: dict[str, Any] = {
        file_field: {"type": "array", "items": picture} if file_field == "images" else picture
    }
    if has_mask:
        properties["mask"] = picture | {"description": "Greyscale; white is stylised."}
    for name, field in Settings.model_json_schema()["properties"].items():
        properties[name] = (
            {"type": "string", "description": field["description"]} if name == "blend" else field
        )
    schema = {"type": "object", "required": [file_field], "properties": properties}
    return _body(schema)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
