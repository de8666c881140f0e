"""Cancels the handling of a request whose client has disconnected."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DISCONNECT: Message = {"type": "http.disconnect"}


class CancelOnDisconnect:
    """Pure ASGI: races each request against `http.disconnect`, and cancels it when that wins.

    The application reads the body itself; the disconnect is awaited only after it has received the
    last piece, so no message is taken from it. Before that it gets the disconnect in place of the
    body. It has to be the outermost middleware: those inside see the `CancelledError`.

    Parameters
    ----------
    app : ASGIApp
        The application whose requests are cancelled.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        race = _Race(receive, send)
        try:
            await self._app(scope, race.receive, race.send)
        except asyncio.CancelledError:
            if not race.is_lost or race.task.uncancel() > 0:  # cancelled by somebody else, too
                raise
        finally:
            race.end()


class _Race:
    """A request, and the task that waits for its client to disconnect."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.is_lost = False
        self._receive, self._send = receive, send
        self._watcher: asyncio.Task[None] | None = None
        self._is_response_complete = False

    async def receive(self) -> Message:
        if self._watcher is not None:  # it has the whole body: only the disconnect can come
            await asyncio.wait([self._watcher])
            return _DISCONNECT
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._watcher = asyncio.create_task(self._watch())
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_response_complete = True  # servers say http.disconnect after it
        await self._send(message)

    def end(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._is_response_complete:
            self.is_lost = True
            self.task.cancel()
