"""Texts are compressed for those that take it: the page, its modules, the lists of `/models`."""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

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
        is_text = scope["type"] == "http" and scope["method"] == "GET"
        await (self._compressed if is_text else self._app)(scope, receive, send)
