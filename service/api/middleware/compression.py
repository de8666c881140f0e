"""gzip for GET responses: the page and its modules, `/models`, the OpenAPI document."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MIN_BYTES = 1000  # less is one packet anyway
LEVEL = 6  # of the 9 levels, the one beyond which hardly anything gets smaller


class Compression:
    """Starlette's `GZipMiddleware`, with three differences.

    - Responses to POST are left as they are: heatmaps in base64 and relevance hardly get smaller,
      and compressing them takes as long as computing them.
    - `gzip;q=0` is a refusal.
    - The ETag of a compressed file is weak, so that no client joins its bytes with those of the
      file itself.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, _MIN_BYTES, LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return

        async def send_with_weak_etag(message: Message) -> None:
            if message["type"] == "http.response.start":
                _weaken_etag(MutableHeaders(scope=message))
            await send(message)

        if refuses_gzip(Headers(scope=scope).get("accept-encoding", "")):
            await self._app(scope, receive, send)
        else:
            await self._gzip(scope, receive, send_with_weak_etag)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a response may be compressed, by the header."""
    return "gzip" in accept_encoding and not refuses_gzip(accept_encoding)


def refuses_gzip(accept_encoding: str) -> bool:
    """Whether the header has gzip with the weight 0 (RFC 9110, section 12.4.2)."""
    for entry in accept_encoding.split(","):
        coding, _, weight = (part.strip().lower() for part in entry.partition(";"))
        if coding == "gzip":
            return weight.replace(" ", "").rstrip("0") in {"q=", "q=0."}
    return False


def _weaken_etag(headers: MutableHeaders) -> None:
    etag = headers.get("etag", "")
    if headers.get("content-encoding") == "gzip" and etag.startswith('"'):
        headers["etag"] = f"W/{etag}"
