"""The model repository extension: which models there are, and in which state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service.api.inference import Caller
from service.api.model_changes import ModelStatus
from service.api.openapi import DirectRoute
from service.api.protocols.open_inference import documents
from service.api.protocols.open_inference.http_messages import object_of, parse_object
from service.api.protocols.open_inference.messages import VERSION
from service.api.request.body import read_bytes
from service.api.routes.health import readiness
from service.api.state import AppState
from service.errors import OptionError, OptionProblem
from service.worker_state import State

Endpoint = Callable[[Request], Awaitable[Response]]
_STATES = {State.READY: "READY", State.GRACE: "READY", State.STARTING: "LOADING"}


def is_model_ready(app_state: AppState) -> bool:
    """Whether all workers serve their models."""
    return readiness(app_state) is State.READY


async def repository_index(app_state: AppState, *, is_ready: bool = False) -> list[dict[str, str]]:
    """The models that are served, and those that could be.

    Parameters
    ----------
    is_ready : bool
        Whether to leave out those that are not ready.
    """
    state = app_state.health()
    entries = [_entry(status, state) for status in await app_state.models.index()]
    return [entry for entry in entries if not is_ready or entry["state"] == "READY"]


def check_load(parameters: Iterable[str]) -> None:
    """Refuse a request to load another model than the one in the folder.

    Parameters
    ----------
    parameters : iterable of str
        The names of its parameters.

    Raises
    ------
    OptionError
        One is Triton's `config`, or one of its files.
    """
    detail = "a model is loaded from the bundle in its folder; replace that, and leave this out"
    replaced = [name for name in parameters if name == "config" or name.startswith("file:")]
    if replaced:
        raise OptionError([OptionProblem(name, detail) for name in replaced])


def add_repository(router: APIRouter, app_state: AppState) -> None:
    """Add the routes of the repository."""

    async def index(request: Request) -> Response:
        """List the models, with their states; with `ready` only those that are."""
        fields = await _read_object(request, app_state)
        return JSONResponse(await repository_index(app_state, is_ready=fields.get("ready") is True))

    async def load(request: Request) -> Response:
        """Load a model, or load it again, as `/models/{name}/reload` does."""
        fields = await _read_object(request, app_state)
        check_load(object_of(fields, "parameters"))
        return JSONResponse(asdict(await app_state.models.load(request.path_params["model"])))

    async def unload(request: Request) -> Response:
        """Serve a model no longer, as `/models/{name}/unload` does."""
        await _read_object(request, app_state)
        return JSONResponse(asdict(await app_state.models.unload(request.path_params["model"])))

    def add(path: str, endpoint: Endpoint, summary: str, **described: Any) -> None:
        router.add_api_route(
            f"/v2/repository/{path}",
            endpoint,
            methods=["POST"],
            summary=summary,
            route_class_override=DirectRoute,
            **described,
        )

    add("index", index, "The models of the repository", **documents.INDEX)
    add("models/{model}/load", load, "Load a model, or load it again", **documents.CHANGE)
    add("models/{model}/unload", unload, "Unload a model", **documents.CHANGE)


async def _read_object(request: Request, app_state: AppState) -> dict[str, Any]:
    """The body of a request, which clients may leave out."""
    settings = app_state.settings
    with app_state.body_budget.hold() as body:
        content = await read_bytes(
            *(request, body, settings.max_body_bytes, settings.receive_s),
            Caller.of(request).deadline,
        )
        return parse_object(content) if content else {}


def _entry(status: ModelStatus, state: State) -> dict[str, str]:
    entry = {"name": status.name, "version": VERSION}
    if status.state == "ready" and state not in (State.READY, State.GRACE):
        return entry | {
            "state": _STATES.get(state, "UNAVAILABLE"),
            "reason": f"the service is {state.value}",
        }
    return entry | {"state": status.state.upper(), "reason": status.reason}
