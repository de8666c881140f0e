"""Request context: id, timings, deadline, the line in the log, and the 500 of a failure."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middleware.errors import error_response
from service.errors import InternalError
from service.logs import fields
from service.metrics import Metrics
from service.runtime.deadline import Deadline
from service.text import shorten

logger = logging.getLogger(__name__)
_CLIENT_CLOSED = 499  # in logs and metrics only: the client disconnected before the response
_MAX_PATH = 500  # characters, in logs
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Timings:
    """Milliseconds by stage, for `Server-Timing`."""

    def __init__(self) -> None:
        self._started_at = time.perf_counter()
        self._stages: dict[str, float] = {}

    def add(self, stage: str, ms: float) -> None:
        """Record a stage."""
        self._stages[stage] = self._stages.get(stage, 0.0) + ms

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Record the duration of a block."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - started_at) * 1e3)

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """Milliseconds of each recorded stage."""
        return self._stages

    @property
    def total_ms(self) -> float:
        """Milliseconds since the request began."""
        return (time.perf_counter() - self._started_at) * 1e3

    def header(self) -> str:
        """The value of `Server-Timing`, with the total last."""
        stages = {**self._stages, "total": self.total_ms}
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.items())


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
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, deadline_s: float) -> None:
        self._app, self._metrics, self._deadline_s = app, metrics, deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, timings = _request_id(Headers(scope=scope)), Timings()
        state = scope.setdefault("state", {})
        state["request_id"], state["timings"], state["log_fields"] = request_id, timings, {}
        state["deadline"] = Deadline(self._deadline_s)
        status = _CLIENT_CLOSED

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["Server-Timing"] = timings.header()
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.debug("request %s: the client disconnected", request_id)
        finally:
            self._record(scope, status)

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
            key=state.get("key"),
            **log_fields,
            **{f"{name}_ms": round(ms, 3) for name, ms in timings.stages_ms.items()},
            total_ms=round(total_ms, 3),
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
        except Exception:
            if scope["type"] != "http":
                raise
            request_id = scope["state"]["request_id"]
            logger.exception("request %s failed", request_id)
            if has_started:
                raise
            error = InternalError(f"the service failed; its log has the cause, under {request_id}")
            await error_response(error, scope)(scope, receive, send)


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


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if _SANE_ID.fullmatch(sent) else f"{random.getrandbits(128):032x}"
