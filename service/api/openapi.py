"""The OpenAPI description of requests, made from the models of the options."""

from __future__ import annotations

from typing import Any

from service.api.inputs import IMAGE_FIELD
from service.api.options import PredictOptions

_BINARY = {"type": "string", "format": "binary"}


def request_schema(kind: type[PredictOptions], example: dict[str, Any]) -> dict[str, Any]:
    """Describe the three forms of a request, with every option in each.

    Parameters
    ----------
    kind : type
        The model of the options.
    example : dict
        Options of an example.
    """
    properties = kind.model_json_schema()["properties"]
    as_file = {IMAGE_FIELD: {**_BINARY, "description": "The image file"}, **properties}
    as_text = {
        IMAGE_FIELD: {"type": "string", "description": "Base64 of the file, or a data: URL"},
        **properties,
    }
    raw = {"schema": _BINARY}
    return {
        "parameters": [_query_parameter(name, schema) for name, schema in properties.items()],
        "requestBody": {
            "required": True,
            "description": "One image: PNG, JPEG, WebP, GIF (first frame), BMP or TIFF",
            "content": {
                "multipart/form-data": {"schema": _object(as_file)},
                "application/json": {
                    "schema": _object(as_text),
                    "example": {IMAGE_FIELD: _EXAMPLE_IMAGE, **example},
                },
                "image/*": raw,
                "application/octet-stream": raw,
            },
        },
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [IMAGE_FIELD],
        "properties": properties,
        "additionalProperties": False,
    }


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    text = f"{schema.get('description', '')} (only with an image as the raw body)"
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


# a PNG of 8 x 8 grey pixels
_EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGNsaGhgwAaYsIoOWgkAMBcBkGHHl6YA"
    "AAAASUVORK5CYII="
)
