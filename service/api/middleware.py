"""Wraps every request: its id, its timings, and the answer to an unexpected failure."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response
from service.errors import InternalError

logger = logging.getLogger(__name__)
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

    def header(self) -> str:
        """The value of `Server-Timing`, with the total last."""
        total_ms = (time.perf_counter() - self._started_at) * 1e3
        stages = {**self._stages, "total": total_ms}
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.items())


class RequestContext:
    """Pure ASGI: gives each request an id and timings, and each answer their headers.

    An exception that nothing else has answered becomes a 500 that shows nothing of its cause; the
    log has it, under the request's id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, timings = _request_id(Headers(scope=scope)), Timings()
        state = scope.setdefault("state", {})
        state["request_id"], state["timings"] = request_id, timings
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["Server-Timing"] = timings.header()
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.info("request %s: the client has left", request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            if has_started:
                raise
            error = InternalError(f"the service failed; its log has why, under {request_id}")
            await problem_response(error, request_id)(scope, receive, send_with_headers)


def timings_of(request: Request) -> Timings:
    """The timings of a request."""
    timings: Timings = request.state.timings
    return timings


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if _SANE_ID.fullmatch(sent) else uuid.uuid4().hex
