"""A serving process: its signals, and what it prints when it is ready."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import resource
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn

from service.api.protocols.open_inference_grpc.server import GRPCServer
from service.api.state import AppState
from service.app import create_app
from service.logs import flush_log
from service.server.grpc_port import start_grpc
from service.server.listen import UNIX, url_of
from service.server.memory import MemoryTrimmer
from service.server.protocol import make_protocol
from service.server.tls import Certificate, certificate_files
from service.server.uvicorn_hooks import check_uvicorn
from service.server.watchdog import EndLimits, EndWatchdog
from service.settings import Settings
from service.worker_state import State, WorkerSlot

# how long a busy event loop may hold the GIL while the device thread waits (5 ms by default)
SWITCH_INTERVAL_S = 0.0002
_OTHER_FILES = 256  # of models, devices, metrics and so on
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORKER_SIGNALS = (signal.SIGTERM, signal.SIGHUP)  # Ctrl-C reaches all: only the parent handles it
_BEAT_S = 0.1
check_uvicorn(
    uvicorn.Server,
    ("startup", "shutdown", "handle_exit", "on_tick", "capture_signals"),
    ("should_exit", "started", "server_state"),
)
check_uvicorn(uvicorn.Config, ("load",), ("http", "backlog"))


class Server(uvicorn.Server):
    """A uvicorn server that exits with status 0 after a signal; uvicorn would raise it again.

    Parameters
    ----------
    config : uvicorn.Config
        Of the server.
    app_state : AppState
        Of its application.
    certificate : Certificate or None
        For TLS; None without.
    signals : sequence of Signals
        Those that shut it down.
    on_tick : callable
        Called ten times a second.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app_state: AppState,
        certificate: Certificate | None = None,
        signals: Sequence[signal.Signals] = SIGNALS,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._grpc: GRPCServer | None = None
        self._app_state, self._signals, self._on_tick = app_state, signals, on_tick
        self._grace_ends_at = math.inf
        self._trimmer = MemoryTrimmer()
        self._slot = app_state.slot
        self._end_watchdog = EndWatchdog(EndLimits(app_state.settings), self._slot.beats)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Beat from now on, as long as the event loop runs."""
        self._heart = asyncio.create_task(self._beat())
        if self._certificate is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self.servers += [
                await self._serve_tls(listener, self._certificate) for listener in sockets or ()
            ]
            self._certificate.watch()
        self._grpc = await start_grpc(
            self._app_state, sockets or (), certificate_files(self._app_state.settings)
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted, over HTTP and gRPC."""
        if self._grpc is not None:
            tasks = self.server_state.tasks  # uvicorn waits for them before the application ends
            stop = asyncio.create_task(self._grpc.stop())
            tasks.add(stop)
            stop.add_done_callback(tasks.discard)
        await super().shutdown(sockets)

    async def _serve_tls(
        self, listener: socket.socket, certificate: Certificate
    ) -> asyncio.base_events.Server:
        """Serve a socket, with limits on handshakes that uvicorn does not pass on."""
        receive_s = self._app_state.settings.receive_s

        def create_protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn does
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        return await asyncio.get_running_loop().create_server(
            create_protocol,
            sock=listener,
            backlog=self.config.backlog,
            ssl=certificate.context,
            ssl_handshake_timeout=receive_s,
            ssl_shutdown_timeout=receive_s,
        )

    async def _beat(self) -> None:
        while True:
            self._slot.beat()
            await asyncio.sleep(_BEAT_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the grace period at the first signal, exit at once at the second."""
        if self._grace_ends_at < math.inf:
            # a worker ignores the second: a signal to its process group comes twice, from the
            # supervisor too, and the supervisor kills the workers that have to exit at once
            if signal.SIGINT in self._signals and sig != signal.SIGHUP:
                flush_log()
                os._exit(128 + sig)
            return
        self._end_watchdog.start()
        grace_s = self._app_state.settings.grace_s
        self._grace_ends_at = time.monotonic() + grace_s
        self._app_state.queue.begin_grace()
        if not self.started or grace_s == 0:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Shut down when the grace period is over; uvicorn calls this ten times a second."""
        if time.monotonic() >= self._grace_ends_at:
            self.should_exit = True
        self._on_tick()
        self._trimmer.tick(is_idle=not self.server_state.tasks)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down gracefully at the signals."""
        with handled_signals(self._signals, self.handle_exit):
            yield


@contextmanager
def handled_signals(
    signals: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle signals in this block; SIGHUP stays ignored where it is, as by `nohup`."""
    before = {
        number: signal.signal(number, handler)
        for number in signals
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def allow_connections(max_connections: int) -> int:
    """Raise the limit of open files to the hard limit: each slow client keeps one open.

    Returns
    -------
    int
        The number of connections that may be open: `max_connections`, or fewer if files would not
        be left for anything else.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return max_connections
    return min(max_connections, max(hard - _OTHER_FILES, hard // 2))


def run_server(
    settings: Settings,
    listeners: Sequence[socket.socket],
    on_ready: Callable[[str], None],
    slot: WorkerSlot | None = None,
    signals: Sequence[signal.Signals] = SIGNALS,
) -> None:
    """Run the server in this process until a signal comes.

    Parameters
    ----------
    settings : Settings
        Of the service.
    listeners : sequence of socket.socket
        The sockets that it listens on.
    on_ready : callable
        Called with a greeting when the models are loaded.
    slot : WorkerSlot, optional
        This process among the worker processes. A broken worker exits.
    signals : sequence of Signals
        Those that shut it down.

    Raises
    ------
    ServiceError
        The model cannot be loaded, or the certificate cannot be used.
    """

    def on_loaded(app_state: AppState) -> None:
        gc.freeze()
        gc.enable()
        if app_state.queue.state is State.BROKEN:
            server.should_exit = True
        elif app_state.queue.state is State.READY:  # and not draining after a signal
            on_ready(_greeting(app_state, url_of(listeners, scheme), scheme))

    def on_tick() -> None:
        state = app_state.health()
        app_state.slot.write(state)
        app_state.metrics.ready_workers.set(state is State.READY)
        if slot is not None and state is State.BROKEN:
            server.should_exit = True

    files = certificate_files(settings)
    certificate, scheme = (Certificate(files), "https") if files else (None, "http")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # loading makes a million objects that stay: to collect garbage among them takes a tenth of the
    # start, and would pause requests later; so they are frozen when they are loaded
    gc.disable()
    app = create_app(settings, on_loaded, slot)
    app_state: AppState = app.state.lrpserve
    config = uvicorn.Config(
        app,
        http=make_protocol(
            settings.receive_s,
            allow_connections(settings.max_connections),
            settings.cors_origins,
        ),
        ws="none",
        log_config=None,
        access_log=False,
    )
    server = Server(config, app_state, certificate, signals, on_tick)
    server.run(sockets=list(listeners))
    if app_state.queue.failure:
        raise app_state.queue.failure


def _greeting(app_state: AppState, address: str, scheme: str) -> str:
    card = app_state.card()
    measured = card.accuracy.get("test")
    accuracy = (
        f"{measured.accuracy:.2%} of {measured.n} test images" if measured else "not measured"
    )
    others = [name for name in app_state.cards if name != card.name]
    also = f"  also:  {', '.join(others)}\n" if others else ""
    curl = "curl"
    if address.startswith(UNIX):
        path = shlex.quote(address.removeprefix(UNIX))
        curl, address = f"curl --unix-socket {path}", f"{scheme}://localhost"
    return (
        f"ready: {card.name} on {app_state.queue.device_name}, accuracy {accuracy}\n{also}"
        f"  try:   {curl} -F image=@cat.jpg {address}/explain\n"
        f"  docs:  {address}/docs"
    )
