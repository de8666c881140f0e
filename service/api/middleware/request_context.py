"""Request context: id, timings, deadline, the line in the log, and the 500 of a failure."""

from __future__ import annotations

import logging
import random
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middleware.errors import error_response
from service.api.middleware.timings import Timings
from service.api.middleware.tracing import RequestTrace, start_trace
from service.errors import InternalError, ServiceError
from service.logs import fields
from service.metrics import Metrics
from service.runtime.deadline import Deadline
from service.text import shorten

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)
_CLIENT_CLOSED = 499  # in logs and metrics only: the client disconnected before the response
_MAX_PATH = 500  # characters, in logs
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}.*"
)


class RequestContext:
    """Gives each request an id, timings and a deadline, and its response their headers.

    At the end of a request it is counted and logged, without anything of the image.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    metrics : Metrics
        Where requests are counted.
    deadline_s : float
        Seconds from the head of a request to its response.
    tracer : Tracer, optional
        Makes spans of each request; by default there are none.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, deadline_s: float, tracer: Tracer | None = None
    ) -> None:
        self._app, self._metrics, self._deadline_s = app, metrics, deadline_s
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, trace = Headers(scope=scope), start_trace(self._tracer, scope)
        request_id = make_request_id(headers.get("x-request-id", ""))
        timings = trace.timings if trace else Timings()
        state = scope.setdefault("state", {})
        state["request_id"], state["timings"], state["log_fields"] = request_id, timings, {}
        state["trace_ids"] = trace.ids if trace else trace_ids(headers.get("traceparent", ""))
        state["deadline"] = Deadline(self._deadline_s)
        status = _CLIENT_CLOSED

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent["X-Request-ID"] = request_id
                sent["Server-Timing"] = timings.header()
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.debug("request %s: the client disconnected", request_id)
        finally:
            self._record(scope, status)
            if trace is not None:
                _end_trace(trace, scope, status)
            # its traceback has the request and its body, which would stay in this circle
            state.pop("error", None)

    def _record(self, scope: Scope, status: int) -> None:
        state = scope["state"]
        timings, log_fields = state["timings"], state["log_fields"]
        route, total_ms = _route(scope), timings.total_ms
        labels = {name: log_fields[name] for name in ("model", "composite") if name in log_fields}
        self._metrics.observe_request(route, status, total_ms / 1e3, timings.stages_ms, **labels)
        if not logger.isEnabledFor(logging.INFO):
            return
        extra = fields(
            request_id=state["request_id"],
            method=scope["method"],
            path=shorten(scope["path"], _MAX_PATH),
            status=status,
            problem=problem_of(state.get("error")),
            key=state.get("key"),
            **log_fields,
            **{f"{name}_ms": round(ms, 3) for name, ms in timings.stages_ms.items()},
            total_ms=round(total_ms, 3),
            **state["trace_ids"],
        )
        logger.info("request", extra=extra)


class Failsafe:
    """Turns an unhandled exception into a 500 that hides its cause.

    The log has the cause, under the request's id. Middleware that sets headers has to be outside
    of this one.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            raise
        except Exception as error:
            if scope["type"] != "http":
                raise
            scope["state"]["error"] = error
            request_id = scope["state"]["request_id"]
            logger.exception("request %s failed", request_id)
            if has_started:
                raise
            shown = InternalError(f"the service failed; its log has the cause, under {request_id}")
            await error_response(shown, scope)(scope, receive, send)


def add_log_fields(request: Request, **values: str | int) -> None:
    """Add fields to the line of a request in the log; `model` and `composite` label metrics too."""
    request.state.log_fields.update(values)


def _route(scope: Scope) -> str:
    """The path template of the route, so that metrics have few labels; `other` if none matches."""
    if "route" in scope["state"]:  # refused before routing
        return str(scope["state"]["route"])
    return str(getattr(scope.get("route"), "path", "other"))


def timings_of(request: Request) -> Timings:
    """The timings of a request."""
    timings: Timings = request.state.timings
    return timings


def deadline_of(request: Request) -> Deadline:
    """The deadline of a request, from its head to the end of its response."""
    deadline: Deadline = request.state.deadline
    return deadline


def problem_of(error: object) -> str | None:
    """The type of an error, for the log."""
    if error is None:
        return None
    return error.type if isinstance(error, ServiceError) else InternalError.type


def trace_ids(traceparent: str) -> dict[str, str]:
    """The ids in a `traceparent` (W3C Trace Context), for the log."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return {"trace_id": found[1], "span_id": found[2]} if found else {}


def _end_trace(trace: RequestTrace, scope: Scope, status: int) -> None:
    state = scope["state"]
    fields = {"request_id": state["request_id"], **state["log_fields"]}
    sent = None if status == _CLIENT_CLOSED else status
    trace.end(_route(scope), sent, state.get("error"), fields)


def make_request_id(sent: str) -> str:
    """The id that a client has sent, or a new one where that cannot be logged."""
    return sent if _SANE_ID.fullmatch(sent) else f"{random.getrandbits(128):032x}"
