"""The route of `infer` over HTTP."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from service.api.executor import is_small
from service.api.inference import Caller
from service.api.middleware.request_context import add_log_fields
from service.api.openapi import DirectRoute
from service.api.protocols.open_inference import documents
from service.api.protocols.open_inference.http_messages import (
    LENGTH_HEADER,
    infer_response,
    parse_infer,
)
from service.api.protocols.open_inference.infer import OpenInference
from service.api.protocols.open_inference.messages import VERSION, InferRequest
from service.api.protocols.open_inference.metadata import served_card
from service.api.protocols.open_inference.outputs import size_of
from service.api.protocols.open_inference.tensors import Images
from service.api.rate_limit import check_rate
from service.api.request.body import read_bytes
from service.api.request.body_budget import Body
from service.api.request.options import ExplainOptions
from service.api.state import AppState
from service.errors import OptionError, OptionProblem

INFER = "/v2/models/{model}/infer"
VERSIONED_INFER = "/v2/models/{model}/versions/{version}/infer"


class InferRoute:
    """Answers requests of `infer`.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    """

    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        self._open_inference = OpenInference(app_state)

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        await check_rate(request, self._app_state.rate_limit)
        with self._app_state.body_budget.hold() as body:
            return await self._run(request, body)

    async def _run(self, request: Request, body: Body) -> Response:
        app_state, caller = self._app_state, Caller.of(request)
        executor, settings = app_state.executor, app_state.settings
        model = request.path_params["model"]
        served_card(app_state, model, request.path_params.get("version", VERSION))
        _refuse_query(request)
        content = await read_bytes(
            request, body, settings.max_body_bytes, settings.receive_s, caller.deadline
        )
        header = request.headers.get(LENGTH_HEADER)
        parsed, images = await executor.run(
            is_small(len(content)), caller.deadline, self._parse, content, header, model
        )
        plan = self._open_inference.plan(parsed, images)
        add_log_fields(request, **plan.log_fields)
        result = await self._open_inference.run(plan, caller)
        with caller.timings.measure("render"):
            write = partial(infer_response, result.request, result.outputs, result.parameters)
            return await executor.run(is_small(size_of(result.outputs)), caller.deadline, write)

    def _parse(self, content: bytes, header: str | None, model: str) -> tuple[InferRequest, Images]:
        request = parse_infer(content, header, model)
        return request, self._open_inference.images(request)


def _refuse_query(request: Request) -> None:
    """Refuse options in the query; other names are for servers between."""
    names = ExplainOptions.model_fields.keys() & request.query_params.keys()
    if names:
        detail = "stands in the query; options are `parameters`"
        raise OptionError([OptionProblem(name, detail) for name in sorted(names)])


def add_infer(router: APIRouter, app_state: AppState) -> None:
    """Add the routes of `infer`."""
    route = InferRoute(app_state)

    async def infer(request: Request) -> Response:
        """Run images through a model: scores, relevance, heatmaps, explanations as tensors.

        Options are `parameters`. Without an output of relevance it is a prediction; without
        `outputs` the response has all but `heatmap_png`.
        """
        return await route.run(request)

    for path in (INFER, VERSIONED_INFER):
        router.add_api_route(
            path,
            infer,
            methods=["POST"],
            response_model=documents.InferResponse,
            responses=documents.INFER_RESPONSES,
            openapi_extra=documents.describe_infer(),
            summary="Scores and relevance of images",
            include_in_schema=path == INFER,
            route_class_override=DirectRoute,
        )
