"""Load shedding: requests get a 429 before they are read while the queue is full."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middleware.client import client_of
from service.api.middleware.errors import error_response
from service.api.middleware.paths import path_of
from service.errors import QueueFull
from service.runtime.queue import DeviceQueue

PATHS = frozenset({"/predict", "/explain"})


class LoadShedding:
    """Responds with a 429 to images while the queue is full, before routing and reading them.

    Under overload most requests are refused, so that a refusal has to be cheap.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    queue : DeviceQueue
        Whose capacity is checked.
    """

    def __init__(self, app: ASGIApp, queue: DeviceQueue) -> None:
        self._app, self._queue = app, queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request."""
        is_image = scope["type"] == "http" and scope["method"] == "POST"
        if not is_image or path_of(scope) not in PATHS:
            await self._app(scope, receive, send)
            return
        try:
            self._queue.check_capacity(client_of(scope))
        except QueueFull as error:
            scope["state"]["route"] = path_of(scope)
            await error_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)
