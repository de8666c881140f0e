"""The bytes of an error response that the protocol writes itself, past the application."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from service.api.middleware.cors import cors_headers
from service.api.response.problems import problem_response
from service.errors import ServiceError

logger = logging.getLogger(__name__)
Headers = Iterable[tuple[bytes, bytes]]


def format_refusal(
    error: ServiceError, default_headers: Headers, origin: bytes | None, origins: Sequence[str]
) -> bytes:
    """Make the response of an error, with an id of its own, which the log has too.

    Parameters
    ----------
    error : ServiceError
        Why the request is refused.
    default_headers : iterable of (bytes, bytes)
        Those of every response.
    origin : bytes or None
        The `Origin` of the request.
    origins : sequence of str
        Those that may read responses (CORS).
    """
    request_id = uuid.uuid4().hex
    logger.info("request %s: %d, %s", request_id, error.status, error.detail)
    response = problem_response(error, request_id)
    headers = [
        *default_headers,
        *response.raw_headers,
        *cors_headers(origin, origins),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    lines = [b"%s: %s\r\n" % header for header in headers]
    status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n".encode()
    return b"".join([status, *lines, b"\r\n", bytes(response.body)])
