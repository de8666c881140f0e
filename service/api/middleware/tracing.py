"""Spans of a request: one of the server, and one for each stage below it.

The names of attributes are those of OpenTelemetry's stable conventions for HTTP. Spans of the
stages have explicit times, so that no context has to cross the queue and the threads.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from service.api.middleware.paths import path_of
from service.api.middleware.timings import Timings
from service.errors import ServiceError
from service.text import shorten

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/ping"})  # probes and scrapers
_READINESS = ("/ready", "/live")  # the ends of the probes of other protocols
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
DISCONNECTED = "client_disconnected"
_MAX_TEXT = 500  # characters of an attribute that the client chose
PREFIX = "lrpserve."  # of attributes for which there is no convention


def start_trace(tracer: Tracer | None, scope: Scope) -> RequestTrace | None:
    """Start the span of a request, as a child of the span that its headers name.

    Parameters
    ----------
    tracer : Tracer or None
        None while traces are off.
    scope : Scope
        The request; probes and scrapers get no span.
    """
    if tracer is None:
        return None
    path = path_of(scope)
    if path in _UNTRACED or path.endswith(_READINESS):
        return None
    return RequestTrace(tracer, scope)


class ServerSpan:
    """The span of a request, whatever its transport, and those of its stages.

    Parameters
    ----------
    tracer : Tracer
        Makes them.
    name : str
        Of the span.
    headers : mapping of str to str
        They name the span of the caller.
    attributes : mapping
        That are known when it begins.

    Attributes
    ----------
    span : Span
        Of the request.
    timings : Timings
        Makes a span of each stage.
    ids : dict of str to str
        `trace_id` and `span_id`, for the log.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        headers: Mapping[str, str],
        attributes: Mapping[str, Any],
    ) -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = extract(headers)
        self.span = tracer.start_span(name, parent, SpanKind.SERVER, attributes=attributes)
        context = self.span.get_span_context()
        self.ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        is_recording = self.span.is_recording()  # else a sampler has left it out
        children = set_span_in_context(self.span, parent)
        self.timings = SpanTimings(tracer, children) if is_recording else Timings()

    def record(self, status: int, error: object, fields: Mapping[str, Any]) -> None:
        """Record how the request has ended: its status in HTTP's terms, its error, its fields."""
        self.span.set_attributes({PREFIX + name: value for name, value in fields.items()})
        if status >= 500:
            record_error(self.span, error, str(status))
        elif isinstance(error, ServiceError):
            self.span.set_attribute("error.type", error.type)


class RequestTrace(ServerSpan):
    """The spans of one request of HTTP."""

    def __init__(self, tracer: Tracer, scope: Scope) -> None:
        self._method = scope["method"] if scope["method"] in _METHODS else "HTTP"
        super().__init__(tracer, self._method, _headers(scope), _request_attributes(scope))

    def end(self, route: str, status: int | None, error: object, fields: Mapping[str, Any]) -> None:
        """End the span.

        Parameters
        ----------
        route : str
            The path template of the route.
        status : int or None
            Of the response; None if the client disconnected before it.
        error : object
            The exception that the response tells, if any.
        fields : mapping
            Of the log: the model, the composite, the request's id.
        """
        span = self.span
        span.update_name(f"{self._method} {route}")
        span.set_attribute("http.route", route)
        self.record(status or 0, error, fields)
        if status is None:
            span.set_attribute("error.type", DISCONNECTED)
        else:
            span.set_attribute("http.response.status_code", status)
        span.end()


class SpanTimings(Timings):
    """Timings that make a span of each stage."""

    def __init__(self, tracer: Tracer, parent: Context) -> None:
        super().__init__()
        self._tracer, self._parent = tracer, parent

    def add(self, stage: str, ms: float) -> None:
        """Record a stage that has just ended."""
        super().add(stage, ms)
        ended_ns = time.time_ns()
        self._start(stage, ended_ns - int(ms * 1e6)).end(ended_ns)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Record the duration of a block, and the exception that ends it."""
        span, started_at = self._start(stage, time.time_ns()), time.perf_counter()
        try:
            yield
        except BaseException as error:
            record_error(span, error, "error")
            raise
        finally:
            super().add(stage, (time.perf_counter() - started_at) * 1e3)
            span.end()

    async def measure_job(self, submitted: Awaitable[Any]) -> Any:
        """Wait for a job, and record its stages; one that fails has a span `queue` only."""
        started_ns = time.time_ns()
        try:
            done = await submitted
        except BaseException as error:
            span = self._start("queue", started_ns)
            record_error(span, error, "error")
            span.end()
            raise
        computed_ns = started_ns + int(done.queue_ms * 1e6)
        ended_ns = computed_ns + int(done.compute_ms * 1e6)
        super().add("queue", done.queue_ms)
        super().add("compute", done.compute_ms)
        self._start("queue", started_ns).end(computed_ns)
        span = self._start("compute", computed_ns)
        span.set_attribute(f"{PREFIX}batch_size", done.batch_size)
        span.end(ended_ns)
        return done

    def _start(self, name: str, started_ns: int) -> Span:
        return self._tracer.start_span(name, self._parent, start_time=started_ns)


def record_error(span: Span, error: object, otherwise: str) -> None:
    """Give a span the status of an error."""
    from opentelemetry.trace import Status, StatusCode

    kind = otherwise
    if isinstance(error, BaseException):
        kind = error.type if isinstance(error, ServiceError) else type(error).__qualname__
        span.record_exception(error)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, str(error or "")))


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _request_attributes(scope: Scope) -> dict[str, Any]:
    headers = _headers(scope)
    client = scope.get("client") or (None, None)
    host, port = _server_address(headers.get("host", ""), scope.get("server"))
    attributes: dict[str, Any] = {
        "http.request.method": scope["method"] if scope["method"] in _METHODS else "_OTHER",
        "url.scheme": scope["scheme"],
        "url.path": _text(scope["path"]),
        "url.query": _text(scope["query_string"].decode("latin-1")) or None,
        "network.protocol.version": scope["http_version"],
        "client.address": client[0],
        "client.port": client[1],
        "server.address": host,
        "server.port": port,
        "user_agent.original": _text(headers["user-agent"]) if "user-agent" in headers else None,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _server_address(
    host: str, listening: tuple[str, int | None] | None
) -> tuple[str | None, int | None]:
    name, _, port = host.rpartition(":")
    if name and port.isdecimal():
        return _text(name), int(port[:5])
    address, own_port = listening or (None, None)
    return _text(host) or address, own_port


def _text(value: str) -> str:
    return shorten(value.encode("utf-8", "replace").decode(), _MAX_TEXT)
