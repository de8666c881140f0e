"""`POST /predict`: what the network sees."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.inference import Operation
from service.api.openapi import DirectRoute, request_schema
from service.api.request.accept import JSON
from service.api.request.options import PredictOptions
from service.api.request.resolved import resolve_predict
from service.api.response.problems import PROBLEM_RESPONSES
from service.api.response.result_schemas import PredictResults
from service.api.response.schemas import PredictResponse
from service.api.response.scores import PredictionRenderer
from service.api.routes.pipeline import Pipeline
from service.api.state import AppState

PREDICT = Operation(PredictOptions, (JSON,), resolve_predict, PredictionRenderer)


def make_router(app_state: AppState) -> APIRouter:
    """Make the route of `/predict`."""
    router = APIRouter(tags=["images"], route_class=DirectRoute)
    pipeline = Pipeline(app_state, PREDICT)

    @router.post(
        "/predict",
        response_model=PredictResponse | PredictResults,
        responses=PROBLEM_RESPONSES,
        openapi_extra=request_schema(PredictOptions, {"top_k": 3}),
        summary="What the network sees",
    )
    async def predict(request: Request) -> Response:
        """Return the best classes of an image with their probabilities and logits.

        Several images, in `images`, get a response with `results`.
        """
        return await pipeline.run(request)

    return router
