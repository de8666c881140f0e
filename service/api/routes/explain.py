"""`POST /explain`: which pixels made the network say so."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from service.api.inference import Operation
from service.api.openapi import DirectRoute, request_schema
from service.api.request.accept import JSON, NPY, PNG
from service.api.request.options import ExplainOptions
from service.api.request.resolved import resolve_explain
from service.api.response.explanation import EXPLANATION_HEADER, MAX_HEADER, ExplanationRenderer
from service.api.response.layer_schemas import LayersOfTargetsResponse, LayersResponse
from service.api.response.problems import PROBLEM_RESPONSES
from service.api.response.result_schemas import ExplainResults
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.api.routes.pipeline import Pipeline
from service.api.state import AppState

EXPLAIN = Operation(ExplainOptions, (JSON, PNG, NPY), resolve_explain, ExplanationRenderer)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    EXPLANATION_HEADER: {
        "description": "With a PNG or an array: the rest of the response as ASCII JSON of at most "
        f"{MAX_HEADER} characters; long lists are cut, or left out",
        "schema": {"type": "string"},
    }
}
_OK: dict[int | str, dict[str, Any]] = {
    200: {"headers": _HEADERS, "content": {PNG: _BINARY, NPY: _BINARY}}
}


def make_router(app_state: AppState) -> APIRouter:
    """Make the route of `/explain`."""
    router = APIRouter(tags=["images"], route_class=DirectRoute)
    pipeline = Pipeline(app_state, EXPLAIN)

    @router.post(
        "/explain",
        response_model=ExplainResponse
        | TargetsResponse
        | LayersResponse
        | LayersOfTargetsResponse
        | ExplainResults,
        responses=_OK | PROBLEM_RESPONSES,
        openapi_extra=request_schema(ExplainOptions, {"output": "heatmap,relevance"}),
        summary="Which pixels made it say so",
    )
    async def explain(request: Request) -> Response:
        """Return the relevance of each pixel: as a heatmap, an overlay, or numbers.

        `Accept: application/json` (the default) gives all of it, `image/png` the picture and
        `application/x-npy` the relevance; with the last two, the rest is in `X-Explanation`.
        Several images, in `images`, get a JSON response with `results`.
        """
        return await pipeline.run(request)

    return router
