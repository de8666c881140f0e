"""CORS: lets pages of the listed origins send requests and read the responses."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from service.api.middleware.auth import HEADER as KEY_HEADER
from service.api.response.explanation import EXPLANATION_HEADER

_LENGTH_HEADER = "Inference-Header-Content-Length"  # of the Open Inference Protocol
_REQUEST_HEADERS = (
    *("Content-Type", "Content-Encoding", "Accept", "X-Request-ID", "Authorization"),
    *("traceparent", "tracestate"),  # of pages that are traced
    *(KEY_HEADER, _LENGTH_HEADER),
)
_RESPONSE_HEADERS = (
    *("X-Request-ID", "Server-Timing", "Retry-After", "WWW-Authenticate"),
    *(EXPLANATION_HEADER, _LENGTH_HEADER),
)


def cors_headers(origin: bytes | None, origins: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The headers with which a page of an origin may read a response; without it there are none."""
    if origin is None or origin.decode("latin-1") not in origins:
        return []
    exposed = ", ".join(_RESPONSE_HEADERS).encode()
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", exposed),
        (b"vary", b"Origin"),
    ]


def add_cors(app: Starlette, origins: Sequence[str]) -> None:
    """Add the middleware, outside of those that refuse requests.

    A preflight has no API key, and a page may read why its request was refused.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "POST"),
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_RESPONSE_HEADERS,
    )
