"""Texts are compressed for those that take it: the page, its modules, the lists of `/models`."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST_BYTES = 1000  # less is one packet anyway
_LEVEL = 6  # of the 9 levels, the one beyond which hardly anything gets smaller


class CompressTexts:
    """Pure ASGI: compresses what is asked for by GET, where the client accepts gzip.

    What is computed (POST) is left as it is: pictures in base64 and relevance hardly get smaller,
    and to try takes as long as to compute them.

    Parameters
    ----------
    app : ASGIApp
        Gives the answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app, _LEAST_BYTES, _LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return

        async def send_described(message: Message) -> None:
            if message["type"] == "http.response.start":
                _describe(MutableHeaders(scope=message))
            await send(message)

        accepted = Headers(scope=scope).get("accept-encoding", "")
        app = self._compressed if accepts_gzip(accepted) else self._app
        await app(scope, receive, send_described)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a header allows gzip: RFC 9110, section 12.5.3."""
    for entry in accept_encoding.split(","):
        coding, _, weight = (part.strip().lower() for part in entry.partition(";"))
        if coding == "gzip":
            return weight.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False


def _describe(headers: MutableHeaders) -> None:
    """Say to caches what the answer depends on, and that these bytes are not the only ones."""
    if "accept-encoding" not in headers.get("vary", "").lower():
        headers.add_vary_header("Accept-Encoding")
    etag = headers.get("etag", "")
    if headers.get("content-encoding") == "gzip" and etag.startswith('"'):
        headers["etag"] = f"W/{etag}"
