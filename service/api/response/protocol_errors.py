"""Error bodies of protocols of others, whose clients read no problem details."""

from __future__ import annotations

import json

from starlette.responses import Response

from service.errors import ServiceError

# exactly so: clients compare the whole value
_MEDIA_TYPE = "application/json"


def kserve_error(error: ServiceError) -> Response:
    """The error body of KServe v1 and of the Open Inference Protocol v2."""
    return _response(error, {"error": error.detail})


def torchserve_error(error: ServiceError) -> Response:
    """The error body of TorchServe."""
    fields = {"code": error.status, "type": type(error).__name__, "message": error.detail}
    return _response(error, fields)


def _response(error: ServiceError, fields: dict[str, object]) -> Response:
    content = json.dumps(fields, ensure_ascii=True)
    headers = {**error.headers, "Content-Type": _MEDIA_TYPE}
    return Response(content, error.status, headers)
