"""Paths and methods of requests, in one form for all that look at them.

The contract:

- `scope["path"]` begins with `scope["root_path"]`, whether the proxy in front strips its prefix or
  not, as ASGI has it; `path_of` gives the path without it.
- A slash at the end of a path makes no difference, and leads to no redirect.
- HEAD is answered as GET, without the body, on every path (RFC 9110, section 9.3.2).
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def path_of(scope: Scope) -> str:
    """The path of a request, without the prefix of the proxy."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class Paths:
    """Gives the path of each request the prefix of the proxy, once, and no slash at its end.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    root_path : str
        The prefix, without a slash at its end; empty for none.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path == self._root_path or path.startswith(f"{self._root_path}/"):
                path = path.removeprefix(self._root_path)
            scope["root_path"] = self._root_path
            scope["path"] = self._root_path + (path.rstrip("/") or "/")
        await self._app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD with the head of the response to GET.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not message.get("more_body"):
                await send({"type": "http.response.body", "body": b""})

        as_get = {**scope, "method": "GET"}
        await self._app(as_get, receive, send_head)
        scope["route"] = as_get.get("route")  # for the log and the metrics
