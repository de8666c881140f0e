"""Error responses: problem details by RFC 9457."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.api.response.schemas import REFERENCE, Problem
from service.errors import MethodNotAllowed, NotFound, OptionError, RequestError, ServiceError
from service.text import shorten

MEDIA_TYPE = "application/problem+json"
_MAX_PATH = 200  # characters that a message repeats
TYPE_PREFIX = "urn:lrpserve:problem:"


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Make the response of an error."""
    content = problem_bytes(error, request_id)
    return Response(content, error.status, error.headers, media_type=MEDIA_TYPE)


def problem_bytes(error: ServiceError, request_id: str) -> bytes:
    """The problem details of an error, as JSON."""
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + error.type,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if isinstance(error, OptionError):
        problem["errors"] = [{"option": p.option, "detail": p.detail} for p in error.problems]
    # ASCII: what a client sent may hold lone surrogates, which UTF-8 cannot carry
    return json.dumps(problem, ensure_ascii=True).encode()


def translate(request: Request, error: Exception) -> ServiceError:
    """The error of the service for one of Starlette's: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    path, method = shorten(request.url.path, _MAX_PATH), shorten(request.method)
    if error.status_code == NotFound.status:
        docs = f"{request.scope.get('root_path', '')}/docs"
        return NotFound(f"there is no path {path}; {docs} lists the paths", headers)
    if error.status_code == MethodNotAllowed.status:
        methods = set(headers.get("Allow", "GET").split(", "))  # files have none
        if "GET" in methods:
            methods.add("HEAD")  # middleware answers it, on every path
        headers["Allow"] = allowed = ", ".join(sorted(methods))
        return MethodNotAllowed(f"{path} does not support {method}; use {allowed}", headers)
    return RequestError(str(error.detail), headers)


def _responses(*statuses: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    # a `model` would be described as application/json, which problems are not
    schema = {"$ref": REFERENCE.format(model=Problem.__name__)}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": text, "content": content} for status, text in statuses}


# for the OpenAPI document
UNAUTHORIZED_RESPONSE = _responses((401, "No API key, or an unknown one"))
PROBLEM_RESPONSES = _responses(
    (400, "The body cannot be parsed, or has no image that can be decoded"),
    (406, "No format in `Accept` is supported"),
    (408, "The body was not received in time"),
    (413, "Too many bytes, images, pixels or values of JSON"),
    (415, "The content type or the image's format is not supported"),
    (422, "Invalid options; `errors` names each and what is allowed"),
    (
        429,
        "The queue is full, or the key exceeds its rate limit; `Retry-After` says when to retry",
    ),
    (503, "Starting, draining or too many bytes at once, with `Retry-After`; or broken, without"),
    (504, "No result within the deadline"),
    (507, "The request needs more memory than there is; `detail` says what to lower"),
)
PROBLEM_RESPONSES_OF_CHANGES = _responses(
    (403, "The settings do not allow it"),
    (404, "There is no such model"),
    (409, "Another request is loading a model, or it is the default model"),
    (422, "The model cannot be loaded; nothing has changed"),
    (503, "The service is starting or draining"),
    (504, "Some workers have not followed"),
)
