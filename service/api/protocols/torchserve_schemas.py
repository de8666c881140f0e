"""TorchServe's protocol in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.openapi import option_properties
from service.api.request.accept import JSON, NPY, PNG
from service.api.request.multipart import MULTIPART
from service.api.request.options import PredictOptions

_BINARY = {"schema": {"type": "string", "format": "binary"}}


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ping(_Schema):
    """The health of the service."""

    status: Literal["Healthy", "Unhealthy"]


class TorchServeError(_Schema):
    """An error of TorchServe's protocol."""

    code: int = Field(description="The status")
    type: str = Field(description="TorchServe's name of the error: `ModelNotFoundException`")
    message: str = Field(description="What to do")


def _error(text: str) -> dict[str, Any]:
    return {"model": TorchServeError, "description": text}


PING_RESPONSES: dict[int | str, dict[str, Any]] = {
    503: {"model": Ping, "description": "The service takes no requests"}
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("The body has no image that can be decoded"),
    404: _error("There is no such model, or version of it"),
    413: _error("Too many bytes or pixels"),
    422: _error("Invalid options"),
    429: _error("The queue is full, or the key exceeds its rate limit; see `Retry-After`"),
    503: _error("The model is being loaded, or the service is draining or broken"),
    504: _error("No result within the deadline"),
    # without it FastAPI adds a 422 of its own, which never happens
    "default": _error("Any other failure"),
}
PREDICTION_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Probabilities by label",
        "content": {
            JSON: {"schema": {"type": "object", "additionalProperties": {"type": "number"}}}
        },
    },
    **_ERRORS,
}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
EXPLANATION_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Relevance of shape (C, H, W)",
        "content": {
            JSON: {"schema": {"type": "array", "items": {"type": "array", "items": _NUMBERS}}},
            PNG: _BINARY,
            NPY: _BINARY,
        },
    },
    **_ERRORS,
}


def request_schema(kind: type[PredictOptions]) -> dict[str, Any]:
    """The forms of a request's body.

    Parameters
    ----------
    kind : type
        Model of the options.
    """
    options = {name: value for name, value in option_properties(kind).items() if name != "model"}
    base64 = {"type": "string", "description": "Base64 of the file, or a data: URL"}
    content = {
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
        MULTIPART: {"schema": _object({"data": _BINARY["schema"]})},
        JSON: {"schema": _object({"data": base64, **options})},
    }
    description = (
        "One image, with any content type or none; options stand in the query, or beside the image"
    )
    return {"requestBody": {"required": True, "description": description, "content": content}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": ["data"], "properties": properties}
