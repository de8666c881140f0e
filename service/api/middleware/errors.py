"""Error responses: each path has those of its protocol, problem details by default."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from service.api.middleware.paths import path_of
from service.api.response.problems import problem_response, translate
from service.api.response.protocol_errors import kserve_error, torchserve_error
from service.errors import ServiceError

# of paths that are, or begin with, a prefix
FORMATS: dict[str, Callable[[ServiceError], Response]] = {
    "/v1": kserve_error,
    "/v2": kserve_error,
    "/ping": torchserve_error,
    "/predictions": torchserve_error,
    "/explanations": torchserve_error,
}


def error_response(error: ServiceError, scope: Scope) -> Response:
    """Make the response of an error, as the protocol of the path has it."""
    scope["state"].setdefault("error", error)  # for the log and the trace
    error_format = format_of(path_of(scope))
    if error_format is None:
        return problem_response(error, scope["state"]["request_id"])
    return error_format(error)


def format_of(path: str) -> Callable[[ServiceError], Response] | None:
    """The error body of a path's protocol; None for problem details."""
    for prefix, error_format in FORMATS.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return error_format
    return None


async def handle_service_error(request: Request, error: Exception) -> Response:
    """Exception handler of `ServiceError`."""
    if not isinstance(error, ServiceError):
        raise error
    return error_response(error, request.scope)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler of Starlette's errors: no such path, no such method."""
    return error_response(translate(request, error), request.scope)
