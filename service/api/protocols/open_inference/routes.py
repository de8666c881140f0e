"""The routes of the protocol over HTTP, under `/v2`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from service.api.protocols.open_inference import documents
from service.api.protocols.open_inference.infer_route import add_infer
from service.api.protocols.open_inference.messages import VERSION
from service.api.protocols.open_inference.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    served_card,
    server_metadata,
)
from service.api.protocols.open_inference.repository import add_repository, is_model_ready
from service.api.routes.health import readiness
from service.api.state import AppState
from service.worker_state import State

_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes of the protocol."""
    router = APIRouter(tags=["Open Inference Protocol v2"])
    _add_server(router, app_state)
    _add_models(router, app_state)
    add_infer(router, app_state)
    add_repository(router, app_state)
    return router


def _add_server(router: APIRouter, app_state: AppState) -> None:
    @router.get("/v2", response_model=documents.ServerMetadata, summary="Server metadata")
    async def metadata() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return server_metadata()

    @router.get(
        "/v2/health/live",
        response_model=documents.Liveness,
        responses={503: {"model": documents.Liveness, "description": "Broken"}},
        summary="Liveness",
    )
    async def live() -> JSONResponse:
        """Return 200 unless the service is broken, as `/healthz` does."""
        is_live = app_state.queue.state is not State.BROKEN
        return JSONResponse({"live": is_live}, 200 if is_live else 503)

    @router.get(
        "/v2/health/ready",
        response_model=documents.Readiness,
        responses=documents.NOT_READY,
        summary="Readiness",
    )
    async def ready() -> JSONResponse:
        """Return 200 if all models are loaded, as `/readyz` does."""
        is_ready = readiness(app_state) is State.READY
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @router.get(
        "/v2/models/stats",
        response_model=documents.ModelStatisticsList,
        summary="Statistics of all models",
    )
    async def statistics() -> dict[str, Any]:
        """Images and durations of each model, in the worker process that answers."""
        cards = list(app_state.cards.values())
        return {"model_stats": [model_statistics(app_state, card) for card in cards]}


def _add_models(router: APIRouter, app_state: AppState) -> None:
    @router.get(
        f"{_MODEL}/ready",
        response_model=documents.ModelReadiness,
        responses=documents.MODEL_NOT_READY,
        summary="Readiness of a model",
    )
    @router.get(f"{_VERSION}/ready", include_in_schema=False)
    async def ready(model: str, version: str = VERSION) -> JSONResponse:
        """Return 200 if the model is loaded, 503 if it is not."""
        name, is_ready = served_card(app_state, model, version).name, is_model_ready(app_state)
        return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    @router.get(
        _MODEL,
        response_model=documents.ModelMetadata,
        responses=documents.NO_MODEL,
        summary="Metadata of a model",
    )
    @router.get(_VERSION, include_in_schema=False)
    async def metadata(model: str, version: str = VERSION) -> dict[str, Any]:
        """The versions and tensors of a model."""
        return model_metadata(served_card(app_state, model, version))

    @router.get(
        f"{_MODEL}/config", responses=documents.NO_MODEL, summary="Configuration of a model"
    )
    @router.get(f"{_VERSION}/config", include_in_schema=False)
    async def config(model: str, version: str = VERSION) -> dict[str, Any]:
        """The tensors of a model, as Triton's model configuration has them."""
        return model_config(served_card(app_state, model, version))

    @router.get(
        f"{_MODEL}/stats",
        response_model=documents.ModelStatisticsList,
        responses=documents.NO_MODEL,
        summary="Statistics of a model",
    )
    @router.get(f"{_VERSION}/stats", include_in_schema=False)
    async def statistics(model: str, version: str = VERSION) -> dict[str, Any]:
        """Images and durations of a model, in the worker process that answers."""
        card = served_card(app_state, model, version)
        return {"model_stats": [model_statistics(app_state, card)]}
