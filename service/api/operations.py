"""`GET /healthz` and `/readyz`: for whatever watches over the service."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse

from service.api.schemas import Health
from service.api.services import Services
from service.runtime.queue import State


def make_router(services: Services) -> APIRouter:
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
        is_broken = services.queue.state is State.BROKEN
        return _health("broken" if is_broken else "ok", is_good=not is_broken)

    @router.get(
        "/readyz",
        response_model=Health,
        responses={503: {"model": Health, "description": "Not ready: send requests elsewhere"}},
        summary="Whether requests are served",
    )
    async def readyz() -> JSONResponse:
        """Answer 200 when the model is loaded and warm, and requests are taken and finished."""
        state = services.queue.state
        if services.queue.is_stalled(services.settings.stall_s):
            return _health("stalled", is_good=False)
        return _health(state.value, is_good=state is State.READY)

    return router


def _health(status: str, *, is_good: bool) -> JSONResponse:
    return JSONResponse({"status": status}, status_code=200 if is_good else 503)
