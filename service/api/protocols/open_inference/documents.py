"""The protocol in the OpenAPI document: bodies, responses and errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from service.api.protocols.kserve_schemas import ErrorText
from service.api.protocols.open_inference.http_messages import BINARY, JSON, LENGTH_HEADER
from service.api.protocols.open_inference.plan import OUTPUTS
from service.api.response.problems import PROBLEM_RESPONSES, PROBLEM_RESPONSES_OF_CHANGES
from service.api.response.schemas import REFERENCE, ModelChange

Parameters = dict[str, Any]


class Liveness(BaseModel):
    """Whether the service is alive."""

    live: bool


class Readiness(BaseModel):
    """Whether the service is ready."""

    ready: bool


class ModelReadiness(Readiness):
    """Whether a model is ready."""

    name: str


class ServerMetadata(BaseModel):
    """The server's metadata."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor of a model."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 is free")


class ModelMetadata(BaseModel):
    """A model's metadata."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(
        description="`image` may also be UINT8 of shape [N, H, W, 3], RGB pixels"
    )
    outputs: list[TensorMetadata]


class RepositoryEntry(BaseModel):
    """A model of the repository."""

    name: str
    version: str
    state: str = Field(description="READY, LOADING or UNAVAILABLE")
    reason: str


class ModelStatisticsList(BaseModel):
    """Statistics of models in the worker that answers."""

    model_stats: list[dict[str, Any]]


class InferOutput(TensorMetadata):
    """An output tensor."""

    parameters: Parameters | None = None
    data: list[Any] | None = Field(
        None, description="Left out where `parameters` has `binary_data_size`"
    )


class InferResponse(BaseModel):
    """The response of `infer`."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters = Field(description="`model_sha256`: SHA-256 of the weights")
    outputs: list[InferOutput]


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorText, "description": response["description"]}
    for status, response in PROBLEM_RESPONSES.items()
    if status not in (406, 422)
}
ERRORS |= {
    404: {"model": ErrorText, "description": "There is no such model or version"},
    422: {"model": ErrorText, "description": "Invalid parameters or outputs; `error` names each"},
}
NO_MODEL: dict[int | str, dict[str, Any]] = {
    404: ERRORS[404],
    "default": {"model": ErrorText, "description": "Any other failure"},
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Readiness, "description": "Not ready: send requests elsewhere"}
}
MODEL_NOT_READY: dict[int | str, dict[str, Any]] = NO_MODEL | {
    503: {"model": ModelReadiness, "description": "Not ready, or not loaded"}
}
BODY_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorText, "description": "The body is no JSON object"},
    "default": {"model": ErrorText, "description": "Any other failure"},
}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
INFER_RESPONSES: dict[int | str, dict[str, Any]] = ERRORS | {
    200: {
        "content": {BINARY: _BINARY},
        "headers": {
            LENGTH_HEADER: {
                "description": "With binary outputs: bytes of the JSON before them",
                "schema": {"type": "string"},
            }
        },
    }
}
_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
_LENGTH = {
    "name": LENGTH_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 0},
    "description": "With binary inputs: bytes of the JSON before them",
}
_ANY_OBJECT = {"type": "object"}
_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"const": "image"},
        "datatype": {"enum": ["BYTES", "UINT8"]},
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "description": "[N] of files, [N, H, W, 3] of pixels",
        },
        "parameters": {
            "type": "object",
            "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
        },
        "data": {"type": "array", "description": "Files in base64, or pixels, flat or nested"},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"enum": list(OUTPUTS)},
        "parameters": {
            "type": "object",
            "properties": {
                "binary_data": {"type": "boolean"},
                "classification": {"type": "integer", "minimum": 0},
            },
        },
    },
}
_INFER_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": _OUTPUT},
        "parameters": _ANY_OBJECT
        | {
            "description": "Options of "
            + f"[ExplainRequest]({REFERENCE.format(model='ExplainRequest')}), lists as JSON text"
        },
    },
}


def describe_infer() -> dict[str, Any]:
    """The parameters and the body of `infer`."""
    return {
        "parameters": [_MODEL, _LENGTH],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _INFER_BODY}, BINARY: _BINARY},
        },
    }


_OBJECT_BODY = {"requestBody": {"content": {JSON: {"schema": _ANY_OBJECT}}}}
INDEX: dict[str, Any] = {
    "response_model": list[RepositoryEntry],
    "responses": BODY_ERRORS,
    "openapi_extra": _OBJECT_BODY,
}
CHANGE: dict[str, Any] = {
    "response_model": ModelChange,
    "responses": BODY_ERRORS
    | {
        status: {"model": ErrorText, "description": response["description"]}
        for status, response in PROBLEM_RESPONSES_OF_CHANGES.items()
    },
    "openapi_extra": {"parameters": [_MODEL], **_OBJECT_BODY},
}
