"""`GET /models`: what is loaded, and what can be asked of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from service.api.problems import PROBLEM_RESPONSES
from service.api.schemas import ModelInfo, ModelList
from service.api.services import Services
from service.errors import NotFound
from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES, LAYERS
from service.models.card import ModelCard


def make_router(services: Services) -> APIRouter:
    """Make the routes of `/models`."""
    router = APIRouter(tags=["models"])

    @router.get("/models", response_model=ModelList, summary="The models that are loaded")
    async def models() -> dict[str, Any]:
        """List every model with its card, layers and methods."""
        return {"models": [describe_model(services.card)]}

    @router.get(
        "/models/{name}",
        response_model=ModelInfo,
        responses={404: PROBLEM_RESPONSES[400] | {"description": "There is no such model"}},
        summary="One model",
    )
    async def model(name: str) -> dict[str, Any]:
        """Describe a model: labels, input size, normalization, accuracy, provenance, methods."""
        if name != services.card.name:
            raise NotFound(f"there is no model {name!r}; loaded is: {services.card.name}")
        return describe_model(services.card)

    return router


def describe_model(card: ModelCard) -> dict[str, Any]:
    """The fields of a `ModelInfo`."""
    return {
        **card.model_dump(),
        "default": True,
        "layers": list(LAYERS),
        "composites": [asdict(composite) for composite in COMPOSITES.values()],
        "attributors": [asdict(attributor) for attributor in ATTRIBUTORS.values()],
        "colormaps": COLORMAPS,
    }
