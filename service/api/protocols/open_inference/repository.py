"""The model repository extension: which models there are, and in which state."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service.api.inference import Caller
from service.api.openapi import DirectRoute
from service.api.protocols.open_inference import documents
from service.api.protocols.open_inference.http_messages import parse_object
from service.api.protocols.open_inference.messages import VERSION
from service.api.request.body import read_bytes
from service.api.state import AppState
from service.worker_state import State

_SERVING = (State.READY, State.GRACE)


def is_model_ready(app_state: AppState) -> bool:
    """Whether this worker serves its models."""
    return app_state.health() in _SERVING


def repository_index(app_state: AppState, *, is_ready: bool = False) -> list[dict[str, Any]]:
    """The models of the repository.

    Parameters
    ----------
    is_ready : bool
        Whether to leave out those that are not ready.
    """
    state = app_state.health()
    entries = [_entry(name, state) for name in app_state.cards]
    return [entry for entry in entries if not is_ready or entry["state"] == "READY"]


def add_repository(router: APIRouter, app_state: AppState) -> None:
    """Add the routes of the repository."""

    async def index(request: Request) -> Response:
        """List the models, with their states; with `ready` only those that are."""
        fields = await _read_object(request, app_state)
        return JSONResponse(repository_index(app_state, is_ready=fields.get("ready") is True))

    router.add_api_route(
        "/v2/repository/index",
        index,
        methods=["POST"],
        response_model=list[documents.RepositoryEntry],
        responses=documents.BODY_ERRORS,
        openapi_extra=documents.describe_object(),
        summary="The models of the repository",
        route_class_override=DirectRoute,
    )


async def _read_object(request: Request, app_state: AppState) -> dict[str, Any]:
    """The body of a request, which clients may leave out."""
    settings = app_state.settings
    with app_state.body_budget.hold() as body:
        content = await read_bytes(
            *(request, body, settings.max_body_bytes, settings.receive_s),
            Caller.of(request).deadline,
        )
        return parse_object(content) if content.strip() else {}


def _entry(name: str, state: State) -> dict[str, Any]:
    entry = {"name": name, "version": VERSION}
    if state in _SERVING:
        return entry | {"state": "READY", "reason": ""}
    if state is State.STARTING:
        return entry | {"state": "LOADING", "reason": "the service is starting"}
    return entry | {"state": "UNAVAILABLE", "reason": f"the service is {state.value}"}
