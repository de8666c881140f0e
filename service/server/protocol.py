"""The HTTP/1.1 protocol of a connection: uvicorn's, with bounds on the time and size of requests.

The contract:

- Bytes that are not HTTP/1.1 get a problem response, as any other error does.
- The head of a request has to arrive within `receive_s` seconds of its first byte, or of the
  connection; the application bounds the time of the body, and reads no more than it wants of it.
- The bytes before a body, and between its chunks, are bounded.
- A client that reads none of a response for `receive_s` seconds is disconnected.
- A connection that is closed while the client still sends lingers: the client can read the
  response, which a reset would discard (RFC 9112, section 9.6).
- A request that is being handled is answered first, whatever follows it on the connection.
- An offer to upgrade to another protocol is ignored (`service.server.parser`).

Timers run on the callbacks of `asyncio.Protocol`, the phases of a request on those of httptools'
parser. What it needs of uvicorn beside these is checked when this module is imported.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.api.response.problems import problem_response
from service.errors import BrokenRequest, HeadTooLarge, RequestTimeout, ServiceError
from service.server.parser import RequestParser

logger = logging.getLogger(__name__)
MAX_HEAD_BYTES = 1 << 16  # and one read of the socket more at most
_TOO_LARGE = (
    f"the head of the request has more than {MAX_HEAD_BYTES} bytes; send fewer, or use JSON"
)
_LINGER_S = 2.0  # for the client to read the response


class Phase(Enum):
    """Which part of a request comes next on a connection."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


def check_uvicorn(owner: type, methods: tuple[str, ...], attributes: tuple[str, ...] = ()) -> None:
    """Check that a class of uvicorn has what is built on.

    Parameters
    ----------
    owner : type
        The class.
    methods, attributes : tuple of str
        Names of its methods, and of the attributes that its `__init__` sets.

    Raises
    ------
    ImportError
        One is missing.
    """
    missing = [name for name in methods if not callable(getattr(owner, name, None))]
    set_in_init = owner.__init__.__code__.co_names  # type: ignore[misc]  # of a class, not of an instance
    missing += [name for name in attributes if name not in set_in_init]
    if missing:
        raise ImportError(
            f"uvicorn {uvicorn.__version__} has no {owner.__name__}.{missing[0]}, which lrpserve "
            "is built on; install a version that pyproject.toml allows"
        )


check_uvicorn(
    HttpToolsProtocol,
    (
        *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete"),
        *("send_400_response", "shutdown", "_unsupported_upgrade_warning"),
    ),
    ("transport", "loop", "cycle", "pipeline", "server_state", "parser", "headers"),
)
check_uvicorn(RequestResponseCycle, (), ("response_started", "response_complete"))
check_uvicorn(ServerState, (), ("default_headers",))


def make_protocol(receive_s: float) -> type[asyncio.Protocol]:
    """Make the protocol class of a server whose clients have `receive_s` seconds to send a head."""
    return type("BoundedProtocol", (Protocol,), {"receive_s": receive_s})


class Transport:
    """The transport of a connection, closed the way that the protocol wants.

    Everything else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport, self.close = transport, close
        self.is_ending = False  # whether no more requests are read, though it may still be open

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.is_ending or self._transport.is_closing()


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    receive_s: ClassVar[float] = 30.0
    parser: RequestParser  # type: ignore[assignment]  # httptools, whose methods it has

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self._phase = Phase.IDLE
        self._n_bytes = 0  # since the last request, or the last piece of its body
        self._is_refused = False  # whether no more is read
        self._receive_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._tcp: asyncio.Transport
        self._closing: Transport  # around it; uvicorn has this one

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        self._tcp, self._closing = transport, Transport(transport, self._close)
        super().connection_made(self._closing)  # type: ignore[arg-type]
        self._start_receive_timer(self._receive_timed_out, self.receive_s)

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a request, within the bounds."""
        if self._is_refused:
            return
        self._n_bytes += len(data)
        super().data_received(data)
        self._check_bounds()

    def pause_writing(self) -> None:
        """Start to wait for the client to read the response."""
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        """Stop waiting: the client reads."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()
        if self._tcp.is_closing():  # there is a rest to be read
            self._start_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers; uvicorn tells the application."""
        self._is_refused = True
        for timer in (self._receive_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._phase = Phase.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand a request to the application, which reads the body."""
        if self.parser.offers_upgrade:
            return
        self._phase = Phase.BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        self._n_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.offers_upgrade:
            return
        self._phase, self._n_bytes = Phase.IDLE, 0
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None
        super().on_message_complete()

    # Hooks of uvicorn

    def send_400_response(self, msg: str) -> None:
        """Respond to bytes that are not HTTP."""
        self._refuse(BrokenRequest("this is not HTTP/1.1 as RFC 9112 has it; send a request"))

    def _unsupported_upgrade_warning(self) -> None:
        self.shutdown()  # the parser takes what follows for the other protocol

    # Bounds

    def _check_bounds(self) -> None:
        if self._is_refused:
            return
        if self._n_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge(_TOO_LARGE))
        elif not self._is_idle() and self._receive_timer is None:
            self._start_receive_timer(self._receive_timed_out, self.receive_s)

    def _is_idle(self) -> bool:
        return self._phase is Phase.IDLE and self._n_bytes == 0

    def _start_receive_timer(self, callback: Callable[[], None], seconds: float) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
        self._receive_timer = self.loop.call_later(seconds, callback)

    def _start_write_timer(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.receive_s, self._tcp.abort)

    def _receive_timed_out(self) -> None:
        self._receive_timer = None
        is_in_body = self._phase is Phase.BODY
        if is_in_body and not self.cycle.response_complete:  # the application has a limit, too
            self._start_receive_timer(self._receive_timed_out, self.receive_s)
        elif is_in_body or self._is_idle():
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"the request was not here within {self.receive_s:g} s"))

    def _refuse(self, error: ServiceError) -> None:
        """Read no more, and respond with an error, unless another response has to come first."""
        self._is_refused = True
        # there is no cycle before the first request
        is_handling = not getattr(self.cycle, "response_complete", True)
        if is_handling:
            self.shutdown()  # after its response
            is_only_one = self._phase is Phase.BODY and not self.pipeline
            if not is_only_one or self.cycle.response_started:
                return
        if self.transport.is_closing():
            return
        self._respond(error)
        self._linger()
        if is_handling:
            super().connection_lost(None)  # the application does not wait for the rest of the body

    def _respond(self, error: ServiceError) -> None:
        request_id = uuid.uuid4().hex
        logger.info("request %s: %d, %s", request_id, error.status, error.detail)
        response = problem_response(error, request_id)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%s: %s\r\n" % header for header in headers]
        status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n".encode()
        self._tcp.write(b"".join([status, *lines, b"\r\n", bytes(response.body)]))

    # The end of a connection

    def _close(self) -> None:
        """Close, at once or, while the client still sends a body, after it had time to read."""
        if self._phase is Phase.BODY:
            self._linger()
        else:
            self._close_now()

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._is_refused = self._closing.is_ending = True
        self._tcp.write_eof()
        self._tcp.resume_reading()  # what comes is discarded
        self._start_receive_timer(self._stop_lingering, _LINGER_S)

    def _stop_lingering(self) -> None:
        if self._tcp.get_write_buffer_size():
            self._close_now()
        else:
            self._tcp.abort()

    def _close_now(self) -> None:
        self._tcp.close()
        if self._tcp.get_write_buffer_size():  # it is written first
            self._start_write_timer()
