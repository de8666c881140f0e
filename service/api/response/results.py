"""The response to several images: the response of each, with its status, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from service.api.request.accept import JSON
from service.api.response.problems import problem_bytes
from service.api.response.scores import VARY
from service.errors import RequestError, ServiceError

RETRY_AFTER = "Retry-After"


def results_response(outcomes: Sequence[Response | ServiceError], request_id: str) -> Response:
    """Write the responses of images into one; an error is that of its own image.

    Parameters
    ----------
    outcomes : sequence of (Response or ServiceError)
        Of each image: its response, a JSON object, or its error.
    request_id : str
        Of the request.

    Raises
    ------
    ServiceError
        No image has a response, and none of them is to blame: the request may be sent again.
    """
    errors = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    slowest = max(errors, key=_retry_after_s, default=None)
    if slowest is not None and len(errors) == len(outcomes) and not _has_bad_image(errors):
        raise slowest
    headers = dict(VARY)
    if slowest is not None and RETRY_AFTER in slowest.headers:
        headers[RETRY_AFTER] = slowest.headers[RETRY_AFTER]
    results = b",".join(_result(outcome, request_id) for outcome in outcomes)
    return Response(b'{"results":[' + results + b"]}", media_type=JSON, headers=headers)


def _result(outcome: Response | ServiceError, request_id: str) -> bytes:
    """A response with its status as the first field; problems have theirs."""
    if isinstance(outcome, ServiceError):
        return problem_bytes(outcome, request_id)
    return b'{"status":%d,' % outcome.status_code + bytes(outcome.body)[1:]


def _has_bad_image(errors: Sequence[ServiceError]) -> bool:
    return any(isinstance(error, RequestError) for error in errors)


def _retry_after_s(error: ServiceError) -> int:
    return int(error.headers.get(RETRY_AFTER, 0))
