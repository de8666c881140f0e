"""What every call has: its deadline, key, rate limit and request id; its count and its errors."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from service.api.inference import Caller
from service.api.middleware.auth import KeyRing
from service.api.middleware.request_context import make_request_id
from service.api.middleware.timings import Timings
from service.api.request.body_budget import Body
from service.api.state import AppState
from service.errors import BrokenRequest, InternalError, RequestTimeout, ServiceError
from service.logs import fields
from service.runtime.deadline import Deadline

logger = logging.getLogger(__name__)
SERVICE = "inference.GRPCInferenceService"
_CANCELLED = 499  # in logs and metrics only, as where an HTTP client disconnects
# names of gRPC's codes, by HTTP status
CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    507: "RESOURCE_EXHAUSTED",
}
_DEFAULT_CODE = "INVALID_ARGUMENT"


class Call:
    """A call that is served.

    Parameters
    ----------
    method : str
        Name of the method.
    messages : async iterator of bytes
        Its messages, unread; there should be one.
    caller : Caller
        Whose call it is.
    headers : sequence of (bytes, bytes)
        Its metadata.

    Attributes
    ----------
    log_fields : dict
        Fields for the log and the metrics.
    """

    def __init__(
        self,
        method: str,
        messages: AsyncIterator[bytes],
        caller: Caller,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.method, self.messages, self.caller = method, messages, caller
        self._headers = headers
        sent = dict(headers).get(b"x-request-id", b"").decode("latin-1")
        self.request_id = make_request_id(sent)
        self.log_fields: dict[str, Any] = {}

    def authenticate(self, key_ring: KeyRing) -> None:
        """Check the API key.

        Raises
        ------
        Unauthorized
            There is none that is valid.
        """
        name = key_ring.authenticate(self._headers)
        self.log_fields["key"] = name
        self.caller = replace(self.caller, client=f"key {name}")


Handler = Callable[[Call], Awaitable[bytes]]


class Calls:
    """Wraps the handlers of all methods.

    Parameters
    ----------
    app_state : AppState
        Shared with the routes of HTTP.
    """

    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        keys = app_state.settings.api_keys
        self._key_ring = KeyRing(keys) if keys else None

    def wrap(self, method: str, handler: Handler, *, is_open: bool = False) -> Any:
        """Make a handler for `grpc.stream_unary_rpc_method_handler`.

        Parameters
        ----------
        is_open : bool
            Whether the method needs no key.
        """

        async def serve(messages: AsyncIterator[bytes], context: Any) -> bytes:
            call = self._begin(method, messages, context)
            await context.send_initial_metadata((("x-request-id", call.request_id),))
            status = _CANCELLED
            try:
                try:
                    if self._key_ring is not None and not is_open:
                        call.authenticate(self._key_ring)
                    response = await handler(call)
                    status = 200
                    return response
                except ServiceError as caught:
                    error = caught
                except Exception:
                    logger.exception("request %s failed", call.request_id)
                    error = InternalError(
                        f"the service failed; its log has the cause, under {call.request_id}"
                    )
                status = error.status
            finally:
                self._record(call, status)
            await _abort(context, error)
            raise error  # not reached: to abort raises

        return serve

    def _begin(self, method: str, messages: AsyncIterator[bytes], context: Any) -> Call:
        remaining_s = context.time_remaining()
        limit_s = math.inf if remaining_s is None else max(0.0, remaining_s)
        deadline = Deadline(self._app_state.settings.deadline_s).at_most(limit_s)
        caller = Caller(deadline, f"address {_host(context.peer())}", Timings())
        metadata = context.invocation_metadata() or ()
        return Call(method, messages, caller, [_header(*entry) for entry in metadata])

    def _record(self, call: Call, status: int) -> None:
        timings, route = call.caller.timings, f"/{SERVICE}/{call.method}"
        total_ms = timings.total_ms
        names = call.log_fields.keys() & {"model", "composite"}
        labels = {name: call.log_fields[name] for name in names}
        self._app_state.metrics.observe_request(
            route, status, total_ms / 1e3, timings.stages_ms, **labels
        )
        if not logger.isEnabledFor(logging.INFO):
            return
        extra = fields(
            request_id=call.request_id,
            method="gRPC",
            path=route,
            status=status,
            **call.log_fields,
            **{f"{name}_ms": round(ms, 3) for name, ms in timings.stages_ms.items()},
            total_ms=round(total_ms, 3),
        )
        logger.info("request", extra=extra)


async def read_message(call: Call, body: Body, receive_s: float) -> bytes:
    """Receive the message of a call.

    Parameters
    ----------
    body : Body
        Counts its bytes among those of all bodies.
    receive_s : float
        Time from the start of the call for the client to send it, in seconds.

    Raises
    ------
    BrokenRequest
        There is none.
    RequestTimeout, DeadlineExceeded, BodiesFull
        It did not arrive in time, or is too much beside those of other requests.
    """

    async def pieces() -> AsyncGenerator[bytes, None]:
        async for message in call.messages:
            yield message

    late = RequestTimeout(f"the message did not arrive within {receive_s:g} s; send it faster")
    async with call.caller.deadline.enforce(receive_s, late), body.receive():
        async for message in body.count(pieces()):
            return message
    raise BrokenRequest("the call has no message")


async def _abort(context: Any, error: ServiceError) -> None:
    import grpc

    code = grpc.StatusCode[CODES.get(error.status, _DEFAULT_CODE)]
    trailers = [
        (name.lower(), value)
        for name, value in error.headers.items()
        if name in ("Retry-After", "WWW-Authenticate")
    ]
    await context.abort(code, error.detail, tuple(trailers))


def _header(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    return name.encode(), value if isinstance(value, bytes) else value.encode()


def _host(peer: str) -> str:
    """The address of `ipv4:127.0.0.1:5000`, without its port."""
    return unquote(peer.partition(":")[2].rpartition(":")[0])
