"""Error bodies of protocols of others, whose clients read no problem details."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from starlette.responses import Response

from service.errors import ModelNotFound, ModelVersionNotFound, ServiceError

# exactly so: clients compare the whole value
_MEDIA_TYPE = "application/json"
_TORCHSERVE_TYPES = {  # of its frontend, by status
    401: "InvalidKeyException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    429: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "RequestTimeoutException",
}


def kserve_error(error: ServiceError) -> Response:
    """The error body of KServe v1 and of the Open Inference Protocol v2."""
    return _response(error, {"error": error.detail})


def torchserve_error(error: ServiceError) -> Response:
    """The error body of TorchServe, with its name of the error."""
    fields = {"code": error.status, "type": _torchserve_type(error), "message": error.detail}
    return _response(error, fields)


# their schemas in the OpenAPI document
ERROR_SCHEMAS: Mapping[Callable[[ServiceError], Response], str] = {
    kserve_error: "ErrorText",
    torchserve_error: "TorchServeError",
}


def _torchserve_type(error: ServiceError) -> str:
    if isinstance(error, ModelNotFound | ModelVersionNotFound):
        return f"{type(error).__name__}Exception"
    if error.status in _TORCHSERVE_TYPES:
        return _TORCHSERVE_TYPES[error.status]
    return "BadRequestException" if error.status < 500 else "InternalServerException"


def _response(error: ServiceError, fields: dict[str, object]) -> Response:
    content = json.dumps(fields, ensure_ascii=True)
    headers = {**error.headers, "Content-Type": _MEDIA_TYPE}
    return Response(content, error.status, headers)
