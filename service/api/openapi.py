"""The OpenAPI document: requests in their three forms, made from the options' models."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from service.api.middleware.auth import HEADER, OPEN_PATHS
from service.api.middleware.errors import format_of
from service.api.request.accept import JSON
from service.api.request.options import ExplainOptions, PredictOptions
from service.api.request.upload import IMAGE_FIELD, IMAGES_FIELD
from service.api.response.problems import UNAUTHORIZED_RESPONSE
from service.api.response.protocol_errors import ERROR_SCHEMAS
from service.api.response.schemas import REFERENCE, Problem
from service.settings import Settings

_BINARY = {"type": "string", "format": "binary"}
_REQUESTS: Mapping[type[PredictOptions], str] = {
    PredictOptions: "PredictRequest",
    ExplainOptions: "ExplainRequest",
}


class DirectRoute(APIRoute):
    """A route whose endpoint reads the request itself.

    FastAPI describes it in the document, but reads no body, parameters or dependencies for it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class _InOrder(GenerateJsonSchema):
    """Keeps the order of names in examples, which pydantic would sort."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value


def request_schema(kind: type[PredictOptions], example: dict[str, Any]) -> dict[str, Any]:
    """The three forms of a request, with every option in each.

    Parameters
    ----------
    kind : type
        Model of the options.
    example : dict
        Options of the example.
    """
    properties = option_properties(kind)
    # forms and queries have no lists: rules are JSON text there, and `targets` is left out
    in_forms = {
        name: _as_text(field) for name, field in properties.items() if field.get("type") != "array"
    }
    as_file = {
        IMAGE_FIELD: {**_BINARY, "description": "The image file; several are a list of images"},
        **{name: _example_in_text(field) for name, field in in_forms.items()},
    }
    raw = {"schema": _BINARY}
    return {
        "parameters": [_query_parameter(name, schema) for name, schema in in_forms.items()],
        "requestBody": {
            "required": True,
            "description": "An image, or several in JSON and forms: PNG, JPEG, WebP, GIF (first "
            "frame), BMP, TIFF or AVIF",
            "content": {
                "multipart/form-data": {"schema": _object(as_file) | {"required": [IMAGE_FIELD]}},
                "application/json": {
                    "schema": {"$ref": REFERENCE.format(model=_REQUESTS[kind])},
                    "example": {IMAGE_FIELD: EXAMPLE_IMAGE, **example},
                },
                "image/*": raw,
                "application/octet-stream": raw,
            },
        },
    }


def complete_document(app: FastAPI, settings: Settings) -> None:
    """Add the schemas that the document refers to, and the API keys if there are any."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = describe()
            document["components"]["schemas"] |= _named_schemas()
            if settings.api_keys:
                _add_keys(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _named_schemas() -> dict[str, Any]:
    """The schemas that FastAPI does not know: problems, and requests in JSON."""
    _, definitions = models_json_schema([(Problem, "serialization")], ref_template=REFERENCE)
    schemas: dict[str, Any] = definitions["$defs"]
    image = {"type": "string", "description": "Base64 of the file, or a data: URL"}
    images = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": "Several images, in place of `image`; the response has `results`",
    }
    either = {"oneOf": [{"required": [IMAGE_FIELD]}, {"required": [IMAGES_FIELD]}]}
    for kind, name in _REQUESTS.items():
        about = {"description": "An image, or several, and options", "title": name}
        options = {option: _with_null(field) for option, field in option_properties(kind).items()}
        schemas[name] = (
            _object({IMAGE_FIELD: image, IMAGES_FIELD: images, **options}) | about | either
        )
    return schemas


def option_properties(kind: type[PredictOptions]) -> dict[str, Any]:
    """The schemas of all options, by name; none may be null."""
    schema = kind.model_json_schema(ref_template=REFERENCE, schema_generator=_InOrder)
    return {name: _without_null(field) for name, field in schema["properties"].items()}


def _add_keys(document: dict[str, Any]) -> None:
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    schemes["header"] = {"type": "apiKey", "in": "header", "name": HEADER}
    for path, operation in _operations(document):
        if path not in OPEN_PATHS:
            operation["security"] = [{"bearer": []}, {"header": []}]
            operation["responses"]["401"] = _unauthorized(path)


def _unauthorized(path: str) -> dict[str, Any]:
    """The response to a request without a key, in the body of the path's protocol."""
    problem: dict[str, Any] = UNAUTHORIZED_RESPONSE[401]
    error_format = format_of(path)
    if error_format is None:
        return problem
    schema = {"$ref": REFERENCE.format(model=ERROR_SCHEMAS[error_format])}
    return problem | {"content": {JSON: {"schema": schema}}}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, entry) for entry in item.values() if "responses" in entry)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Take `null` out of a schema: options are left out instead, and forms have no null."""
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if kept.get("default", ...) is None:
        del kept["default"]
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return kept | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow `null` in JSON, for an option that is left out."""
    about = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    kind = {key: value for key, value in schema.items() if key not in about}
    kinds = kind["anyOf"] if kind.keys() == {"anyOf"} else [kind]
    return about | {"anyOf": [*kinds, {"type": "null"}]}


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace lists by JSON text."""
    if not any(kind.get("type") == "array" for kind in schema.get("anyOf", [])):
        return schema
    fields = {key: value for key, value in schema.items() if key != "anyOf"}
    examples = [_text_of(example) for example in schema["examples"]]
    return fields | {"type": "string", "examples": examples}


def _example_in_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Move the example into the description: /docs would fill its form with it and send it."""
    fields = {key: value for key, value in schema.items() if key != "examples"}
    if "examples" in schema:
        example = _text_of(schema["examples"][0])
        fields["description"] = f"{schema['description']}; example: `{example}`"
    # an empty example leaves the field empty; without one /docs would send "string"
    return fields if "default" in schema else fields | {"example": ""}


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    # /docs would put a default into the query, where no option may stand beside a form or JSON
    default = f"default: {schema['default']}; " if "default" in schema else ""
    text = f"{schema['description']} ({default}only with an image as the raw body)"
    fields = {key: value for key, value in schema.items() if key not in ("default", "description")}
    return {"name": name, "in": "query", "required": False, "schema": fields, "description": text}


# a PNG of 8 x 8 grey pixels
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGNsaGhgwAaYsIoOWgkAMBcBkGHHl6YA"
    "AAAASUVORK5CYII="
)
