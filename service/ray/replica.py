"""A replica of the Ray Serve deployment: the application of `create_app` inside Ray's process.

The contract:

- It is running when its models are loaded. Where they cannot be loaded, its start fails with the
  reason, and the deployment with it.
- It is healthy until its device is broken; Ray then replaces it.
- The response has one `X-Request-ID`: that of Ray's proxy, which passes the client's on, or makes
  one, and hands it to the application.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.state import AppState
from service.app import create_app
from service.errors import Broken
from service.logs import configure_own_logging
from service.server.process import SWITCH_INTERVAL_S
from service.settings import Settings
from service.worker_state import State, WorkerSlot

if TYPE_CHECKING:
    from fastapi import FastAPI


class Replica:
    """The health check of a replica; Ray Serve adds the application as `app`."""

    app: FastAPI

    async def check_health(self) -> None:
        """Raise an error if the replica has to be replaced; Ray also calls this at the start.

        Raises
        ------
        ServiceError
            The models cannot be loaded, or the device is broken.
        """
        app_state: AppState = self.app.state.lrpserve
        if app_state.queue.failure:
            raise app_state.queue.failure
        if app_state.queue.state is State.BROKEN:
            raise Broken("the device is broken; the log of the replica has the cause")


def make_replica_app(settings: Settings) -> FastAPI:
    """Make the application of a replica; its lifespan waits until the models are loaded."""
    configure_own_logging(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    app = create_app(settings, slot=WorkerSlot(is_replacement=True))
    app.add_middleware(WithoutRequestId)
    return app


class WithoutRequestId:
    """Removes `X-Request-ID` from responses, as Ray's proxy adds the same one.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["X-Request-ID"]
            await send(message)

        await self._app(scope, receive, send_without_id)
