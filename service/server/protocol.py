"""Reads requests from connections, within bounds of time and size.

The contract, beside that of uvicorn's protocol, which does the rest:

- What cannot be read gets a problem, as any other error does.
- A request has to be here within `receive_s` seconds of its first byte, or of the connection.
- What is read of a request before its body, and between the parts of it, is bounded.
- An answer has to be taken within `receive_s` seconds, or the connection is cut.
- Who still sends when the last answer comes can read it: a connection that is closed before all
  that came was read is reset, and what it carried is lost (RFC 9112, section 9.6).
- Whatever comes behind a request, that request is answered first.
- A request whose client has left is given up, wherever it is.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import uuid
from typing import Any, ClassVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.api.response.problems import problem_response
from service.errors import BrokenRequest, HeadTooLarge, RequestTimeout, ServiceError

logger = logging.getLogger(__name__)
MAX_HEAD_BYTES = 1 << 16  # and one read of the socket more at most
_TOO_LARGE = (
    f"the head of the request has more than {MAX_HEAD_BYTES} bytes; send fewer, or use JSON"
)
_LINGER_S = 2.0  # that a client has to take the last answer: to close at once may lose it


def make_protocol(receive_s: float) -> type[asyncio.Protocol]:
    """Make the protocol of a server whose clients have `receive_s` seconds to send a request."""
    return type("BoundedProtocol", (Protocol,), {"receive_s": receive_s})


def allow_many_connections() -> None:
    """Let the process have all the open files that it may: each client that is slow keeps one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Protocol(HttpToolsProtocol):
    """One connection."""

    receive_s: ClassVar[float] = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._n_bytes = 0  # that came since the last request or the last piece of a body
        self._is_whole = False  # whether there is nothing left to come of a request
        self._is_in_body = False
        self._is_refused = False
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._serving: asyncio.Task[Any] | None = None
        self._has_left = False

    # What uvicorn's protocol is told by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what the client has asked for."""
        self._has_left = True
        if self._serving is not None:
            self._serving.cancel()
        for timer in (self._late, self._stuck):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request, and no more than there may be of it."""
        if self._is_refused:
            return
        self._is_whole = False
        self._n_bytes += len(data)
        super().data_received(data)
        self._bound_what_comes()

    def pause_writing(self) -> None:
        """Wait until the client takes what was written, but not for ever."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.receive_s, self._cut_off)

    def resume_writing(self) -> None:
        """Write on."""
        self._forget_writing()
        super().resume_writing()

    # What it is told by the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_whole = False

    def on_headers_complete(self) -> None:
        """Hand a request to the application, which reads the body."""
        self._is_in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body."""
        self._n_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._n_bytes, self._is_whole, self._is_in_body = 0, True, False
        if self._late is not None:
            self._late.cancel()
            self._late = None
        super().on_message_complete()

    # What it does by itself

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(BrokenRequest("this is not HTTP/1.1 as RFC 9112 has it; send a request"))

    def on_response_complete(self) -> None:
        """Wait until the client has taken the answer, but not for ever."""
        super().on_response_complete()
        self._forget_writing()
        if self.transport.get_write_buffer_size():
            self._stuck = self.loop.call_later(self.receive_s, self._cut_off)

    def _forget_writing(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            self._serving = asyncio.current_task()
            try:
                if not self._has_left:
                    await app(scope, receive, self._lingering(cycle, send))
            except asyncio.CancelledError:
                if not self._has_left:
                    raise
            finally:
                self._serving = None
                cycle.disconnected |= self._has_left

        super()._start_asgi_task(cycle, serve)  # type: ignore[arg-type]

    def _lingering(self, cycle: RequestResponseCycle, send: Send) -> Send:
        async def send_and_linger(message: Message) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            lingers = is_last and self._is_in_body and not cycle.keep_alive
            if lingers:
                cycle.keep_alive = True  # else it is closed at once, with the body on its way
            await send(message)
            if lingers:
                self._linger()

        return send_and_linger

    def _unsupported_upgrade_warning(self) -> None:
        # what comes now is in the other protocol, as far as the parser knows
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _bound_what_comes(self) -> None:
        if self._is_refused:
            return
        if self._n_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge(_TOO_LARGE))
        elif not self._is_whole and self._late is None:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        self._late = self.loop.call_later(self.receive_s, self._be_late)

    def _be_late(self) -> None:
        self._late = None
        if self._is_in_body and not self.cycle.response_complete:
            self._wait_for_request()  # the application says that it is late
        elif self._n_bytes == 0 or self._is_in_body:
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"the request was not here within {self.receive_s:g} s"))

    def _cut_off(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse(self, error: ServiceError) -> None:
        self._is_refused = True
        cycle = self.cycle
        if not getattr(cycle, "response_complete", True):  # there is none before the first request
            # an answer to this would be taken for that of the request that is being served
            cycle.keep_alive = False
            if not self._is_in_body or self.pipeline or cycle.response_started:
                return
            cycle.disconnected = True  # nobody has to wait for the rest of this body
            cycle.message_event.set()
        self._answer_and_close(error)

    def _answer_and_close(self, error: ServiceError) -> None:
        if self.transport.is_closing():
            return
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
        head = STATUS_LINE[error.status] + b"".join(lines) + b"\r\n"
        self.transport.write(head + bytes(response.body))
        self._linger()

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._is_refused = True
        self.transport.write_eof()
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(_LINGER_S, self._end_lingering)

    def _end_lingering(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.close()  # it has until `_stuck` to take the rest
        else:
            self.transport.abort()
