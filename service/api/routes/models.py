"""`/models`: the served models, with their layers and methods; loading and unloading of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pybase64
from fastapi import APIRouter

from service.api.response.problems import PROBLEM_RESPONSES, PROBLEM_RESPONSES_OF_CHANGES
from service.api.response.schemas import Limits, ModelChange, ModelInfo, ModelList
from service.api.state import AppState
from service.imaging.colormaps import COLOR_BLIND_SAFE, COLORMAPS, strip_png
from service.methods import ATTRIBUTORS, COMPOSITES, RULES, TYPES, Composite, Start
from service.runtime.jobs import LayerInfo
from service.worker_state import State

_PROBLEM = PROBLEM_RESPONSES[400]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    404: _PROBLEM | {"description": "There is no such model"},
    # without it FastAPI adds a 422 of its own, which never happens
    "default": _PROBLEM | {"description": "Any other failure"},
}

_CHANGE_RESPONSES = PROBLEM_RESPONSES_OF_CHANGES | {"default": _RESPONSES["default"]}


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes of `/models`."""
    router = APIRouter(tags=["models"])

    @router.get("/models", response_model=ModelList, summary="The served models")
    async def models() -> dict[str, Any]:
        """List every model with its card, layers and methods; and the limits of an image."""
        limits = {name: getattr(app_state.settings, name) for name in Limits.model_fields}
        models = [describe_model(app_state, name) for name in app_state.cards]
        return {"models": models, "limits": limits}

    @router.get(
        "/models/{name}", response_model=ModelInfo, responses=_RESPONSES, summary="One model"
    )
    async def model(name: str) -> dict[str, Any]:
        """Describe a model: labels, input size, normalization, accuracy, provenance, methods."""
        app_state.check_model(name)
        return describe_model(app_state, name)

    @router.post(
        "/models/{name}/reload",
        response_model=ModelChange,
        responses=_CHANGE_RESPONSES,
        summary="Load a model, or load it again",
    )
    async def reload(name: str) -> dict[str, Any]:
        """Load the bundle of a model beside the one that is served, check it, and replace that.

        In all workers. A bundle that cannot be loaded changes nothing. Needs an API key, or the
        setting `LRPSERVE_MODEL_CONTROL=open`.
        """
        return asdict(await app_state.models.load(name))

    @router.post(
        "/models/{name}/unload",
        response_model=ModelChange,
        responses=_CHANGE_RESPONSES,
        summary="Unload a model",
    )
    async def unload(name: str) -> dict[str, Any]:
        """Serve a model no longer, in all workers; requests that it has accepted are answered.

        Needs what `reload` needs.
        """
        return asdict(await app_state.models.unload(name))

    return router


def describe_model(app_state: AppState, name: str) -> dict[str, Any]:
    """The fields of a `ModelInfo`."""
    card = app_state.cards[name].model_dump()
    return {
        **card,
        "default": name == app_state.default,
        "ready": app_state.queue.state is State.READY,
        "layers": [_describe_layer(layer) for layer in app_state.queue.layers.get(name, ())],
        "composites": [
            _describe_composite(composite, app_state.queue.default_starts.get(name, {}))
            for composite in COMPOSITES.values()
        ],
        "own_composites": card["composites"],
        "attributors": [asdict(attributor) for attributor in ATTRIBUTORS.values()],
        "rules": [asdict(rule) for rule in RULES.values()],
        "types": dict(TYPES),
        "colormaps": [_describe_colormap(name) for name in COLORMAPS],
    }


def _describe_composite(composite: Composite, starts: Mapping[str, Start]) -> dict[str, Any]:
    return asdict(composite) | {
        "start": starts.get(composite.name),
        "rules": [rule.describe() for rule in composite.rules],
    }


def _describe_layer(layer: LayerInfo) -> dict[str, Any]:
    return asdict(layer) | {"has_picture": layer.has_space}


def _describe_colormap(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "text": COLORMAPS[name],
        "color_blind_safe": name in COLOR_BLIND_SAFE,
        "strip": pybase64.b64encode_as_string(strip_png(name)),
    }
