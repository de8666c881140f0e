"""Which pages of other origins may read answers, and what of them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middleware.auth import HEADER as KEY_HEADER
from service.api.response.explanation import EXPLANATION_HEADER

_PREFIX = "access-control-"
_SENT = (
    *("Content-Type", "Accept", "X-Request-ID"),
    *("Authorization", KEY_HEADER),
)
_READ = (
    *("X-Request-ID", "Server-Timing", "Retry-After", EXPLANATION_HEADER),
    "WWW-Authenticate",
)


class AllowOrigins(CORSMiddleware):
    """Starlette's, but a page whose origin is not listed is told nothing of what others may do.

    It stands around whatever answers: a preflight has no key, and a page may read a refusal.

    Parameters
    ----------
    app : ASGIApp
        Gets the requests that are no preflights.
    origins : sequence of str
        Those that are listed.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=_SENT,
            expose_headers=_READ,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            origin = Headers(scope=scope).get("origin")
            if origin is not None and not self.is_allowed_origin(origin):
                send = _without_cors(send)
        await super().__call__(scope, receive, send)


def _without_cors(send: Send) -> Send:
    async def send_rest(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith(_PREFIX)]:
                del headers[name]
        await send(message)

    return send_rest
