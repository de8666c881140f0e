"""Whether there is room for a request: where there is none, it is refused before all work."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.response.problems import problem_response
from service.errors import QueueFull
from service.runtime.queue import DeviceQueue

PATHS = frozenset({"/predict", "/explain"})


class LoadShedding:
    """Pure ASGI: refuses images while the queue is full, before they are routed and read.

    Under much more load than a device can do most requests are refused: each one then takes a
    part of the time that the others need.

    Parameters
    ----------
    app : ASGIApp
        Gets the requests that there is room for.
    queue : DeviceQueue
        Where they would wait.
    """

    def __init__(self, app: ASGIApp, queue: DeviceQueue) -> None:
        self._app, self._queue = app, queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        try:
            self._queue.check_capacity()
        except QueueFull as error:
            state = scope["state"]
            state["route"] = scope["path"]
            await problem_response(error, state["request_id"])(scope, receive, send)
            return
        await self._app(scope, receive, send)
