"""`GET /healthz`, `/readyz`, `/metrics` and `/version`: for operators."""

from __future__ import annotations

import asyncio
from functools import cache

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from service.api.response.schemas import Health, Version
from service.api.state import AppState
from service.build_info import build_info
from service.worker_state import State


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes of health and readiness."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/healthz",
        response_model=Health,
        responses={503: {"model": Health, "description": "Broken: restart the service"}},
        summary="Liveness",
    )
    async def healthz() -> JSONResponse:
        """Return 200 unless the service is broken and has to be restarted."""
        is_broken = app_state.queue.state is State.BROKEN
        return _health("broken" if is_broken else "ok", is_good=not is_broken)

    @router.get(
        "/readyz",
        response_model=Health,
        responses={503: {"model": Health, "description": "Not ready: send requests elsewhere"}},
        summary="Readiness",
    )
    async def readyz() -> JSONResponse:
        """Return 200 if the model is loaded and warm, and batches are finished in time."""
        state = readiness(app_state)
        return _health(state.value, is_good=state is State.READY)

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Metrics for Prometheus",
    )
    async def metrics(request: Request) -> Response:
        """Return the metrics of all workers, in Prometheus' text format or OpenMetrics."""
        text, media_type = app_state.metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    @router.get("/version", response_model=Version, summary="Versions")
    async def version() -> dict[str, str | None]:
        """Return the version of the service, and those of the packages that it computes with."""
        return await asyncio.to_thread(build_info, app_state.settings.commit)  # reads files once

    return router


def readiness(app_state: AppState) -> State:
    """The state of all workers: they share the port, so that any of them may get a request."""
    state = app_state.health()
    app_state.slot.write(state)  # another worker that is asked next must not know an older one
    return app_state.slot.worst_other_state() if state is State.READY else state


@cache
def _health(status: str, *, is_good: bool) -> JSONResponse:
    return JSONResponse({"status": status}, status_code=200 if is_good else 503)
