"""The HTTP/1.1 protocol of a connection: uvicorn's, with bounds on the time and size of requests.

The contract:

- Bytes that are not HTTP/1.1 get a problem response, as any other error does.
- The head of a request has to arrive within `receive_s` seconds of its first byte, or of the
  connection; the application bounds the time of the body, and reads no more than it wants of it.
- The bytes before a body, and between its chunks, are bounded.
- Requests are parsed one at a time (`service.server.sequential`).
- A client that reads none of a response for `receive_s` seconds is disconnected.
- A connection that is closed while the client still sends lingers: the client can read the
  response, which a reset would discard (RFC 9112, section 9.6).
- Beyond `max_connections`, the connection that has sent no whole request for the longest is closed.
- An offer to upgrade to another protocol is ignored (`service.server.parser`).

Timers run on the callbacks of `asyncio.Protocol`, the phases of a request on those of httptools'
parser. What it needs of uvicorn beside these is checked when this module is imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import BrokenRequest, HeadTooLarge, RequestTimeout, ServiceError
from service.server.refusal import format_refusal
from service.server.sequential import MAX_HEAD_BYTES, Phase, SequentialProtocol
from service.server.uvicorn_hooks import check_uvicorn

_TOO_LARGE = (
    f"the head of the request has more than {MAX_HEAD_BYTES} bytes; send fewer, or use JSON"
)
_FRAMING_BYTES = 7  # for each byte of a body: those of a chunk of one byte, "1\r\na\r\n", and one
_LINGER_S = 2.0  # for the client to read the response


check_uvicorn(
    HttpToolsProtocol,
    ("send_400_response", "shutdown", "_unsupported_upgrade_warning"),
    ("pipeline", "server_state", "connections"),
)
check_uvicorn(RequestResponseCycle, (), ("response_started", "response_complete", "keep_alive"))
check_uvicorn(ServerState, (), ("default_headers",))


def make_protocol(
    receive_s: float, max_connections: int, origins: Sequence[str] = ()
) -> type[asyncio.Protocol]:
    """Make the protocol class of a server.

    Parameters
    ----------
    receive_s : float
        Seconds that clients have to send a head.
    max_connections : int
        That are open at once.
    origins : sequence of str
        Of the pages that may read the responses (CORS).
    """
    attributes = {
        "receive_s": receive_s,
        "max_connections": max_connections,
        "origins": tuple(origins),
        "waiting": {},
    }
    return type("BoundedProtocol", (Protocol,), attributes)


class Protocol(SequentialProtocol):
    """The protocol of one connection.

    Attributes
    ----------
    waiting : dict
        The connections that wait for a request, or for the rest of one, the longest first.
    """

    receive_s: ClassVar[float] = 30.0
    max_connections: ClassVar[int] = 1 << 14
    origins: ClassVar[tuple[str, ...]] = ()
    waiting: ClassVar[dict[Protocol, None]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._n_bytes = 0  # of the head, or of what frames the body
        self._fault: ServiceError | None = None
        self._receive_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._start_receive_timer(self._receive_timed_out, self.receive_s)
        self.waiting[self] = None
        if len(self.connections) > self.max_connections:
            next(iter(self.waiting)).abort()

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
        self.waiting.pop(self, None)
        for timer in (self._receive_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # Callbacks of the parser

    def on_headers_complete(self) -> None:
        """Hand a request to the application, if its head has no fault."""
        if self.parser.offers_upgrade:
            return
        try:
            if self._n_bytes > MAX_HEAD_BYTES:
                raise HeadTooLarge(_TOO_LARGE)
            super().on_headers_complete()
        except ServiceError as error:
            self._fault = error
            raise
        self._n_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        self._n_bytes = max(0, self._n_bytes - _FRAMING_BYTES * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.offers_upgrade:
            return
        self._n_bytes = 0
        self.waiting.pop(self, None)
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None
        super().on_message_complete()

    # Hooks of uvicorn

    def on_response_complete(self) -> None:
        """Wait for another request."""
        super().on_response_complete()
        self.waiting[self] = None

    def send_400_response(self, msg: str) -> None:
        """Respond to bytes that are not HTTP."""
        not_http = BrokenRequest("this is not HTTP/1.1 as RFC 9112 has it; send a request")
        self._refuse(self._fault or not_http)

    def _unsupported_upgrade_warning(self) -> None:
        self._refuse_more()  # the parser takes what follows for the other protocol
        self.shutdown()

    # Bounds

    def _parse_piece(self, piece: memoryview) -> None:
        self._n_bytes += len(piece)
        super()._parse_piece(piece)
        self._check_bounds()

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
        self._refuse_more()
        is_handling = self._is_handling()
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
        origin = dict(self.headers or ()).get(b"origin")
        default_headers = self.server_state.default_headers
        self._tcp.write(format_refusal(error, default_headers, origin, self.origins))

    # The end of a connection

    def abort(self) -> None:
        """Close at once, whatever comes or is to be written."""
        self._tcp.abort()

    def close(self) -> None:
        """Close, at once or, while the client still sends a body, after it had time to read."""
        if self._phase is Phase.BODY:
            self._linger()
        else:
            self._close_now()

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._refuse_more()
        self._closing.is_ending = True
        if self._tcp.can_write_eof():  # TLS has no half-closed connections
            self._tcp.write_eof()
        self.update_reading()  # what comes is discarded
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
