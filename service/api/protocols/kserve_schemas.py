"""KServe's v1 protocol in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.openapi import EXAMPLE_IMAGE, option_properties
from service.api.protocols.instances import IMAGE_NAMES, LISTS, PARAMETERS
from service.api.request.accept import JSON
from service.api.request.options import ExplainOptions, PredictOptions
from service.api.response.schemas import ExplainResponse, PredictResponse, TargetsResponse


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelNames(_Schema):
    """The served models."""

    models: list[str]


class ModelReady(_Schema):
    """A model that takes requests."""

    name: str
    ready: bool


class ErrorText(_Schema):
    """An error of KServe v1 and of the Open Inference Protocol."""

    error: str = Field(description="What to do")


class InstanceError(ErrorText):
    """The error of one instance."""

    status: int = Field(description="The status that a request with this instance alone gets")


class PredictedInstance(PredictResponse):
    """The prediction of one instance."""

    status: int


class ExplainedInstance(ExplainResponse):
    """The explanation of one instance."""

    status: int


class ExplainedTargetsInstance(TargetsResponse):
    """The explanations of one instance, with `targets`."""

    status: int


class Predictions(_Schema):
    """The response of `:predict`."""

    predictions: list[PredictedInstance | InstanceError] = Field(
        description="One per instance, in their order"
    )


class Explanations(Predictions):
    """The response of `:explain`."""

    explanations: list[ExplainedInstance | ExplainedTargetsInstance | InstanceError] = Field(
        description="One per instance, in their order"
    )


class InstanceErrors(ErrorText):
    """An error of all instances, or of the whole request."""

    predictions: list[InstanceError] | None = Field(
        None, description="One per instance, in their order, where each has an error"
    )
    explanations: list[InstanceError] | None = Field(
        None, description="The same again, of `:explain`"
    )


def _error(text: str) -> dict[str, Any]:
    return {"model": ErrorText, "description": text}


def _errors(text: str) -> dict[str, Any]:
    return {"model": InstanceErrors, "description": text}


_READINESS: dict[int | str, dict[str, Any]] = {
    404: _error("There is no such model"),
    503: _error("The model is being loaded, or the service is draining or broken"),
}
LIST_RESPONSES: dict[int | str, dict[str, Any]] = {"default": _error("Any failure")}
# without a default FastAPI adds a 422 of its own, which never happens
READY_RESPONSES = _READINESS | LIST_RESPONSES
IMAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    **{status: _errors(each["description"]) for status, each in _READINESS.items()},
    400: _errors("The body cannot be read, or no instance is an image that can be decoded"),
    413: _errors("Too many bytes, instances, pixels or values of JSON"),
    422: _errors("No instance has valid options"),
    429: _errors("The queue is full, or the key exceeds its rate limit; see `Retry-After`"),
    504: _errors("No result within the deadline"),
    "default": _errors("Any other failure"),
}


def request_schema(kind: type[PredictOptions]) -> dict[str, Any]:
    """The body of a request.

    Parameters
    ----------
    kind : type
        Model of the options.
    """
    options = {name: value for name, value in option_properties(kind).items() if name != "model"}
    properties = {
        LISTS[0]: {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [_BASE64, _ARRAY, _with_image(options)]},
        },
        PARAMETERS: {
            "type": "object",
            "description": "Options of all instances; they may stand at the top level, too",
            "properties": options,
            "additionalProperties": False,
        },
    }
    schema = {"type": "object", "required": [LISTS[0]], "properties": properties}
    example = {"instances": [{"b64": EXAMPLE_IMAGE}], "parameters": _EXAMPLES[kind]}
    content = {
        JSON: {"schema": schema, "example": example},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


_EXAMPLES: dict[type[PredictOptions], dict[str, Any]] = {
    PredictOptions: {"top_k": 3},
    ExplainOptions: {"target": "cat", "output": "heatmap,relevance"},
}
_BASE64 = {"type": "string", "description": "Base64 of an image file, or a data: URL"}
_PIXEL = {"type": "integer", "minimum": 0, "maximum": 255}
_CHANNELS = {"type": "array", "items": _PIXEL, "minItems": 3, "maxItems": 3}
_ARRAY = {
    "type": "array",
    "description": "Pixels, of shape (H, W, 3)",
    "items": {"type": "array", "items": _CHANNELS},
}


def _with_image(options: dict[str, Any]) -> dict[str, Any]:
    """An object with an image and options of its own."""
    names = ", ".join(f"`{name}`" for name in IMAGE_NAMES)
    image = {name: {"anyOf": [_BASE64, _ARRAY]} for name in IMAGE_NAMES}
    return {
        "type": "object",
        "description": f"An image in one of {names}, and options of this instance",
        "properties": {**image, **options},
        "additionalProperties": False,
    }
