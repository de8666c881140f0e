"""`GET /healthz`, `/readyz` and `/metrics`: for whatever watches over the service."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from service.api.response.schemas import Health
from service.api.state import AppState
from service.worker_state import State


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes of health and readiness."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/healthz",
        response_model=Health,
        responses={503: {"model": Health, "description": "Broken: restart it"}},
        summary="Whether the process works",
    )
    async def healthz() -> JSONResponse:
        """Answer 200 unless the service is broken for good."""
        is_broken = app_state.queue.state is State.BROKEN
        return _health("broken" if is_broken else "ok", is_good=not is_broken)

    @router.get(
        "/readyz",
        response_model=Health,
        responses={503: {"model": Health, "description": "Not ready: send requests elsewhere"}},
        summary="Whether requests are served",
    )
    async def readyz() -> JSONResponse:
        """Answer 200 when the model is loaded and warm, and requests are taken and finished."""
        state = app_state.health()
        if state is State.READY:  # all workers share the port: a request may meet any of them
            state = app_state.slot.worst_other_state()
        return _health(state.value, is_good=state is State.READY)

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="What is counted, for Prometheus",
    )
    async def metrics(request: Request) -> Response:
        """Return the metrics of all workers, in Prometheus' text format or OpenMetrics."""
        text, media_type = app_state.metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    return router


@cache
def _health(status: str, *, is_good: bool) -> JSONResponse:
    return JSONResponse({"status": status}, status_code=200 if is_good else 503)
