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
from service.api.middleware.request_context import make_request_id, problem_of, trace_ids
from service.api.middleware.timings import Timings
from service.api.protocols.open_inference_grpc.spans import CallTrace, start_call_trace
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
    200: "OK",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    _CANCELLED: "CANCELLED",
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
    trace : CallTrace, optional
        Its spans; None while traces are off.

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
        trace: CallTrace | None = None,
    ) -> None:
        self.method, self.messages, self.caller, self.trace = method, messages, caller, trace
        self._headers = headers
        self.request_id = make_request_id(self._header("x-request-id"))
        self.trace_ids = trace.ids if trace else trace_ids(self._header("traceparent"))
        self.log_fields: dict[str, Any] = {}

    def _header(self, name: str) -> str:
        return dict(self._headers).get(name.encode(), b"").decode("latin-1")

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
            error: ServiceError | None = None
            try:
                response, error = await self._outcome(call, handler, is_open=is_open)
                status = error.status if error else 200
            finally:
                self._record(call, status, error)
            if error is not None:
                await _abort(context, error)
            return response

        return serve

    async def _outcome(
        self, call: Call, handler: Handler, *, is_open: bool
    ) -> tuple[bytes, ServiceError | None]:
        """The response of a call, or its error."""
        try:
            if self._key_ring is not None and not is_open:
                call.authenticate(self._key_ring)
            return await handler(call), None
        except ServiceError as error:
            return b"", error
        except Exception:
            logger.exception("request %s failed", call.request_id)
            shown = f"the service failed; its log has the cause, under {call.request_id}"
            return b"", InternalError(shown)

    def _begin(self, method: str, messages: AsyncIterator[bytes], context: Any) -> Call:
        remaining_s = context.time_remaining()
        limit_s = math.inf if remaining_s is None else max(0.0, remaining_s)
        deadline = Deadline(self._app_state.settings.deadline_s).at_most(limit_s)
        headers = [_header(*entry) for entry in context.invocation_metadata() or ()]
        trace = start_call_trace(self._app_state.tracer, SERVICE, method, headers)
        timings = trace.timings if trace else Timings()
        caller = Caller(deadline, f"address {_host(context.peer())}", timings)
        return Call(method, messages, caller, headers, trace)

    def _record(self, call: Call, status: int, error: ServiceError | None) -> None:
        if call.trace is not None:
            about = {"request_id": call.request_id, **call.log_fields}
            call.trace.end(status, _code(status).value[0], error, about)
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
            problem=problem_of(error),
            **call.log_fields,
            **{f"{name}_ms": round(ms, 3) for name, ms in timings.stages_ms.items()},
            total_ms=round(total_ms, 3),
            **call.trace_ids,
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


def _code(status: int) -> Any:
    import grpc

    return grpc.StatusCode[CODES.get(status, _DEFAULT_CODE)]


async def _abort(context: Any, error: ServiceError) -> None:
    trailers = [
        (name.lower(), value)
        for name, value in error.headers.items()
        if name in ("Retry-After", "WWW-Authenticate")
    ]
    await context.abort(_code(error.status), error.detail, tuple(trailers))


def _header(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    return name.encode(), value if isinstance(value, bytes) else value.encode()


def _host(peer: str) -> str:
    """The address of `ipv4:127.0.0.1:5000`, without its port."""
    return unquote(peer.partition(":")[2].rpartition(":")[0])
