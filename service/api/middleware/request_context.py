"""Request context: id, timings, deadline, log line, and the response to an unexpected error."""

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

from service.api.response.problems import problem_response
from service.errors import InternalError
from service.logs import fields
from service.metrics import Metrics
from service.runtime.deadline import Deadline

logger = logging.getLogger(__name__)
_CLIENT_CLOSED = 499  # in logs and metrics only: the client left before there was an answer
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
        """Record how long a block takes."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - started_at) * 1e3)

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """What was recorded."""
        return self._stages

    @property
    def total_ms(self) -> float:
        """Milliseconds since the beginning."""
        return (time.perf_counter() - self._started_at) * 1e3

    def header(self) -> str:
        """The value of `Server-Timing`, with the total last."""
        stages = {**self._stages, "total": self.total_ms}
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.items())


class RequestContext:
    """Pure ASGI: gives each request an id, timings and its deadline, and each response headers.

    When a request has ended, it is counted, and there is a line for it in the log; neither holds
    anything of the image.

    Parameters
    ----------
    app : ASGIApp
        Gets the requests.
    metrics : Metrics
        Where they are counted.
    deadline_s : float
        Seconds from the head of a request to its response.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, deadline_s: float) -> None:
        self._app, self._metrics, self._deadline_s = app, metrics, deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, timings = _request_id(Headers(scope=scope)), Timings()
        state = scope.setdefault("state", {})
        state["request_id"], state["timings"], state["notes"] = request_id, timings, {}
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
            logger.debug("request %s: the client has left", request_id)
        finally:
            self._record(scope, status)

    def _record(self, scope: Scope, status: int) -> None:
        state = scope["state"]
        timings, notes = state["timings"], state["notes"]
        route, total_ms = _route(scope), timings.total_ms
        named = {name: notes[name] for name in ("model", "composite") if name in notes}
        self._metrics.observe_request(route, status, total_ms / 1e3, timings.stages_ms, **named)
        if not logger.isEnabledFor(logging.INFO):
            return
        extra = fields(
            request_id=state["request_id"],
            method=scope["method"],
            path=scope["path"],
            status=status,
            key=state.get("key"),
            **notes,
            **{f"{name}_ms": round(ms, 3) for name, ms in timings.stages_ms.items()},
            total_ms=round(total_ms, 3),
        )
        logger.info("request", extra=extra)


class Failsafe:
    """Pure ASGI: an exception that nothing else has answered becomes a 500 that hides its cause.

    The log has that, under the request's id. It stands inside of whatever gives answers headers.

    Parameters
    ----------
    app : ASGIApp
        Gets the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        has_started = False

        async def send_noted(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:
            raise
        except Exception:
            if scope["type"] != "http":
                raise
            request_id = scope["state"]["request_id"]
            logger.exception("request %s failed", request_id)
            if has_started:
                raise
            error = InternalError(f"the service failed; its log has why, under {request_id}")
            await problem_response(error, request_id)(scope, receive, send)


def note(request: Request, **values: str | int) -> None:
    """Say what a request is about, for its line in the log; `model` and `composite` count too."""
    request.state.notes.update(values)


def _route(scope: Scope) -> str:
    """The path as the routes have it; there are few of those, and any number of wrong ones."""
    if "route" in scope["state"]:  # it was answered before it got there
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
