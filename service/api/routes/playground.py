"""`GET /`: the playground page, with a strict Content-Security-Policy.

Clients that do not ask for HTML get `{"status": "alive"}`, as KServe's v1 protocol has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.routes.static_files import CompressedFiles

FOLDER = "web"  # all addresses are relative, so that they hold behind any proxy and prefix
_FILES = Path(__file__).parents[2] / FOLDER
HEADERS = {
    # no resources of other origins, no inline code, and no other page may frame it
    "Content-Security-Policy": "; ".join(
        (
            *("default-src 'none'", "script-src 'self'", "style-src 'self'"),
            *("img-src 'self' blob: data:", "connect-src 'self'", "base-uri 'none'"),
            *("form-action 'none'", "frame-ancestors 'none'"),
        )
    ),
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # browsers ask each time, with the ETag
}
ALIVE = {"status": "alive"}
_HTML = ("text/html", "application/xhtml+xml")


def add_page(app: FastAPI) -> None:
    """Add `/` and its files."""
    files = CompressedFiles(directory=_FILES)
    app.mount(f"/{FOLDER}", _WithHeaders(files), name=FOLDER)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        if not accepts_page(request.headers.getlist("accept")):
            return JSONResponse(ALIVE, headers={"Vary": "Accept"})
        folder = request.scope.get("raw_path", b"/").decode("ascii").rpartition("/")[2]
        if folder:  # the prefix of a proxy without its slash: relative addresses need it
            return RedirectResponse(f"{folder}/")
        response = await files.get_response("index.html", request.scope)
        response.headers.update(HEADERS)
        response.headers.add_vary_header("Accept")
        return response


def accepts_page(accept: Sequence[str]) -> bool:
    """Whether the values of `Accept` name HTML, as those of browsers do."""
    return any(media_type in value.lower() for value in accept for media_type in _HTML)


class _WithHeaders:
    """Pure ASGI: adds the page's headers to its files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)
