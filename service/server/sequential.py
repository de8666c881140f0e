"""uvicorn's protocol, for one request at a time.

The contract:

- A request is parsed when the one before it on the connection is answered. What follows is read up
  to a bound, so that the client's leaving is noticed, and waits.
- While a connection is not read, its client's leaving is looked for. It shows unless the client
  sent so much ahead that the system's buffer is full: TCP delivers the end behind the bytes.
- Parsing many small chunks of a body gives other connections their turns.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.server.head import check_head
from service.server.leaving import has_left
from service.server.parser import RequestParser
from service.server.transport import Transport
from service.server.unparsed import Unparsed
from service.server.uvicorn_hooks import check_uvicorn

MAX_HEAD_BYTES = 1 << 16
_MAX_UNPARSED_BYTES = 1 << 16  # and one read of the socket more at most
_CHUNKED_PIECE_BYTES = 1 << 10  # parsed at a time: few requests fit in behind the last chunk
_MAX_CHUNKS_A_TURN = 1000  # take about 2 ms
_LEAVE_S = 1.0  # between two looks

check_uvicorn(
    HttpToolsProtocol,
    (
        *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete"),
        "on_response_complete",
    ),
    ("transport", "loop", "cycle", "parser", "headers", "flow", "expect_100_continue"),
)


class Phase(Enum):
    """Which part of a request comes next on a connection."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


class SequentialProtocol(HttpToolsProtocol):
    """The protocol of one connection, without bounds on its time and size."""

    parser: RequestParser  # type: ignore[assignment]  # httptools, whose methods it has

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self._phase = Phase.IDLE
        self._unparsed = Unparsed()
        self._n_body_bytes: int | None = 0  # that have to come; None if the body is in chunks
        self._n_chunks = 0
        self._is_refused = False  # whether no more is parsed
        self._is_reading = True
        self._leave_timer: asyncio.TimerHandle | None = None
        self._parse_handle: asyncio.Handle | None = None
        self._tcp: asyncio.Transport
        self._closing: Transport  # around it; uvicorn has this one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give uvicorn a transport that closes and reads as this protocol wants."""
        self._tcp, self._closing = transport, Transport(transport, self)
        super().connection_made(self._closing)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Parse what was received, or keep it."""
        if self._is_refused:
            return
        self._unparsed.add(data)
        if self._parse_handle is None:
            self._parse()

    def connection_lost(self, exc: Exception | None) -> None:
        """Parse no more; uvicorn tells the application."""
        self._refuse_more()
        for timer in (self._leave_timer, self._parse_handle):
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
        version = self.parser.get_http_version()
        self._n_body_bytes = check_head(version, self.headers)
        if version == "1.0":
            self.expect_100_continue = False  # which it does not have
        self._phase = Phase.BODY
        super().on_headers_complete()
        if self.expect_100_continue:  # unless it comes, a response has to end the connection:
            self.cycle.keep_alive = False  # nobody knows what follows, a body or a request

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        self._n_chunks += 1
        if self._n_body_bytes is not None:
            self._n_body_bytes -= len(body)
        if self.expect_100_continue:
            self.expect_100_continue = False
            self.cycle.keep_alive = self.parser.should_keep_alive()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._phase = Phase.IDLE
        super().on_message_complete()

    # Parsing

    def on_response_complete(self) -> None:
        """Go on with what follows the request."""
        super().on_response_complete()
        self._schedule_parse()

    def _parse(self) -> None:
        """Parse what was received, until a response has to come first, or others have a turn."""
        self._parse_handle, last_chunk = None, self._n_chunks + _MAX_CHUNKS_A_TURN
        while self._unparsed and self._can_parse() and self._n_chunks < last_chunk:
            self._parse_piece(self._take_piece())
        self.update_reading()

    def _parse_piece(self, piece: memoryview) -> None:
        super().data_received(piece)  # type: ignore[arg-type]  # it is for the parser only

    def _can_parse(self) -> bool:
        if self._is_refused or self.flow.read_paused:
            return False
        return self._phase is not Phase.IDLE or not self._is_handling()

    def _is_handling(self) -> bool:
        # there is no cycle before the first request
        return not getattr(self.cycle, "response_complete", True)

    def _take_piece(self) -> memoryview:
        if self._phase is not Phase.BODY:
            return self._unparsed.take_head(MAX_HEAD_BYTES)
        if self._n_body_bytes is None:
            return self._unparsed.take(_CHUNKED_PIECE_BYTES)
        return self._unparsed.take(max(1, self._n_body_bytes))

    def _schedule_parse(self) -> None:
        if self._unparsed and self._parse_handle is None and self._can_parse():
            self._parse_handle = self.loop.call_soon(self._parse)

    def _refuse_more(self) -> None:
        self._is_refused = True
        self._unparsed.clear()

    # Reading

    def update_reading(self) -> None:
        """Read while uvicorn wants it, and while little waits to be parsed."""
        self._schedule_parse()
        is_full = self.flow.read_paused or len(self._unparsed) > _MAX_UNPARSED_BYTES
        is_wanted = self._closing.is_ending or not is_full
        if is_wanted is self._is_reading or self._tcp.is_closing():
            return
        self._is_reading = is_wanted
        if is_wanted:
            self._tcp.resume_reading()
        else:
            self._tcp.pause_reading()
            self._watch_for_leaving()

    def _watch_for_leaving(self) -> None:
        if self._leave_timer is None:
            self._leave_timer = self.loop.call_later(_LEAVE_S, self._check_for_leaving)

    def _check_for_leaving(self) -> None:
        self._leave_timer = None
        if self._is_reading or self._tcp.is_closing():
            return
        if has_left(self._tcp.get_extra_info("socket")):
            self._tcp.abort()
        else:
            self._watch_for_leaving()

    def close(self) -> None:
        """Close the connection."""
        self._tcp.close()
