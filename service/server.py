"""The server process: the socket, the signals, what is printed at start-up."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer
import uvicorn

from service import __version__
from service.api.services import Services
from service.app import create_app
from service.errors import ServiceError
from service.runtime.queue import State
from service.settings import Settings


class ListenError(ServiceError):
    """The address cannot be listened on."""

    type = "listen-error"
    title = "Cannot listen"


class Server(uvicorn.Server):
    """Ends with status 0 after a signal; uvicorn itself raises the signal again at the end.

    Parameters
    ----------
    config : uvicorn.Config
        Of the server.
    grace_s : float
        Seconds that it serves on after the first signal.
    on_leaving : callable
        Called at the first signal.
    """

    def __init__(
        self, config: uvicorn.Config, grace_s: float, on_leaving: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._grace_s, self._on_leaving = grace_s, on_leaving
        self._leaves_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave at the first signal, and end at once at the second."""
        if self._leaves_at < math.inf:
            os._exit(128 + sig)  # whatever still runs
        self._leaves_at = time.monotonic() + self._grace_s
        self._on_leaving()
        if not self.started or self._grace_s == 0:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Do what a server does ten times a second; end when the grace period is over."""
        if time.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into an orderly end."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal comes.

    Raises
    ------
    ServiceError
        The address is in use, or the model cannot be loaded.
    """
    loaded: list[Services] = []

    def on_loaded(services: Services) -> None:
        loaded.append(services)
        if services.queue.state is State.BROKEN:
            server.should_exit = True
        elif services.queue.state is State.READY:  # not where a signal came meanwhile
            typer.echo(_greeting(services, address), err=True)

    app = create_app(settings, on_loaded)
    with _listen(host, port) as listener:
        address = _url(listener)
        config = uvicorn.Config(app, log_level="info")
        server = Server(config, settings.grace_s, app.state.services.queue.leave)
        typer.echo(f"lrpserve {__version__} listens on {address}; loading the model ...", err=True)
        server.run(sockets=[listener])
    if loaded and loaded[0].queue.failure:
        raise loaded[0].queue.failure


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port} ({error}); choose another --host or --port"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greeting(services: Services, address: str) -> str:
    card = services.card()
    measured = card.accuracy.get("test")
    accuracy = (
        f"{measured.accuracy:.2%} of {measured.n} test images" if measured else "not measured"
    )
    others = [name for name in services.cards if name != card.name]
    also = f"  also:  {', '.join(others)}\n" if others else ""
    return (
        f"ready: {card.name} on {services.queue.device_name}, accuracy {accuracy}\n{also}"
        f"  try:   curl -F image=@cat.jpg {address}/explain\n"
        f"  docs:  {address}/docs"
    )
