"""Load shedding: requests get a 429 before they are read while the queue is full."""

from __future__ import annotations

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middleware.client import client_of
from service.api.middleware.errors import error_response
from service.api.middleware.paths import path_of
from service.errors import QueueFull
from service.runtime.queue import DeviceQueue

PATHS = frozenset({"/predict", "/explain"})
# of routes with parameters, as their decorators have them
TEMPLATES = (
    "/v1/models/{model}:predict",
    "/v1/models/{model}:explain",
    "/predictions/{model}",
    "/predictions/{model}/{version}",
    "/explanations/{model}",
    "/explanations/{model}/{version}",
    "/v2/models/{model}/infer",
    "/v2/models/{model}/versions/{version}/infer",
)
_PATTERNS = {template: compile_path(template)[0] for template in TEMPLATES}


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
        route = _image_route(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        try:
            self._queue.check_capacity(client_of(scope))
        except QueueFull as error:
            scope["state"]["route"] = route
            await error_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _image_route(scope: Scope) -> str | None:
    """The route of a request, where it is one for images."""
    if scope["type"] != "http" or scope["method"] not in ("POST", "PUT"):
        return None
    path = path_of(scope)
    if path in PATHS:
        return path
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(path)), None)
