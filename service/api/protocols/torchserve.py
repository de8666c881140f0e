"""TorchServe's inference protocol: `/predictions`, `/explanations` and `/ping`.

The contract:

- An image is the raw body with any content type or none, or the field `data` of a form or of JSON.
- `/predictions` returns `{label: probability}`, `/explanations` the relevance as nested lists of
  shape (C, H, W), or in the format that `Accept` prefers.
- The options of `/predict` and `/explain` stand in the query, or beside the image.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

from service.api.executor import is_small
from service.api.inference import Caller, Computed, Inference, Operation
from service.api.middleware.request_context import add_log_fields
from service.api.openapi import DirectRoute
from service.api.protocols.instances import ELSEWHERE, Instance, parse_instance
from service.api.protocols.torchserve_schemas import (
    EXPLANATION_RESPONSES,
    PING_RESPONSES,
    PREDICTION_RESPONSES,
    Ping,
    request_schema,
)
from service.api.rate_limit import check_rate
from service.api.request.accept import JSON, NPY, choose_format
from service.api.request.body import check_raw, query_options, read_bytes
from service.api.request.body_budget import Body
from service.api.request.multipart import MULTIPART, read_multipart
from service.api.request.options import ExplainOptions, PredictOptions
from service.api.response.explanation import ExplanationRenderer
from service.api.response.scores import VARY, json_bytes, predict_fields
from service.api.routes.explain import EXPLAIN
from service.api.routes.health import readiness
from service.api.routes.predict import PREDICT
from service.api.state import AppState
from service.errors import ModelVersionNotFound, NotAcceptable, OptionError, ServiceError
from service.text import shorten
from service.worker_state import State

VERSIONS = ("1.0", "1")  # a model has one version; the first is TorchServe's name of it
_METHODS = ["POST", "PUT"]  # `curl -T` sends the second
DATA_FIELD = "data"  # of a form or of JSON
_OWN_WIRE = frozenset({"output", "layers"})  # options whose response is that of `/explain`
_AS_ARRAY = {"output": "relevance", "channels": "all", "relevance_format": "list"}


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes of TorchServe's inference API."""
    router = APIRouter(tags=["TorchServe"])
    router.include_router(_make_image_router(app_state))

    @router.get("/ping", response_model=Ping, responses=PING_RESPONSES, summary="Health")
    async def ping() -> JSONResponse:
        """Return 200 if the service takes requests, as `/readyz` does."""
        is_ready = readiness(app_state) is State.READY
        status = "Healthy" if is_ready else "Unhealthy"
        return JSONResponse({"status": status}, 200 if is_ready else 503)

    return router


def _make_image_router(app_state: AppState) -> APIRouter:
    router = APIRouter(route_class=DirectRoute)
    predictions = _Images(app_state, PREDICT, _write_probabilities, {})
    explanations = _Images(app_state, EXPLAIN, _write_relevance, _AS_ARRAY)

    @router.post(
        "/predictions/{model}",
        responses=PREDICTION_RESPONSES,
        openapi_extra=request_schema(PredictOptions),
        summary="Probabilities of the best classes",
    )
    async def torchserve_predictions(request: Request) -> Response:
        """Return the probabilities of the best `top_k` classes, by label.

        PUT does the same, and `/predictions/{model}/{version}`, where the version is `1.0`.
        """
        return await predictions.run(request)

    @router.post(
        "/explanations/{model}",
        responses=EXPLANATION_RESPONSES,
        openapi_extra=request_schema(ExplainOptions),
        summary="Relevance as nested lists",
    )
    async def torchserve_explanations(request: Request) -> Response:
        """Return the relevance of each pixel as nested lists of shape (C, H, W).

        With `Accept: image/png` or `application/x-npy`, with `output` or `layers`, the response is
        that of `/explain`. PUT does the same, and `/explanations/{model}/{version}`, where the
        version is `1.0`.
        """
        return await explanations.run(request)

    # before those above, which are in the document: FastAPI has one id for all methods of a route
    undocumented = APIRouter(route_class=DirectRoute, include_in_schema=False)
    for path in ("", "/{version}"):
        for name, images in (("predictions", predictions), ("explanations", explanations)):
            undocumented.add_api_route(f"/{name}/{{model}}{path}", images.run, methods=_METHODS)
    images_router = APIRouter()
    images_router.include_router(undocumented)
    images_router.include_router(router)
    return images_router


class _Images:
    """Answers requests with one image.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    operation : Operation
        What to do with the image.
    write : callable
        Writes TorchServe's response, as JSON.
    defaults : mapping of str to Any
        Options of that response that have other defaults here.
    """

    def __init__(
        self,
        app_state: AppState,
        operation: Operation[Any, Any],
        write: Callable[[Computed], bytes],
        defaults: Mapping[str, Any],
    ) -> None:
        self._app_state, self._operation = app_state, operation
        self._inference = Inference(app_state, operation, ELSEWHERE)
        self._write, self._defaults = write, defaults

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        await check_rate(request, self._app_state.rate_limit)
        model: str = request.path_params["model"]
        self._app_state.check_model(model)
        _check_version(model, request.path_params.get("version"))
        with self._app_state.body_budget.hold() as body:
            return await self._run(request, body, model)

    async def _run(self, request: Request, body: Body, model: str) -> Response:
        settings, caller = self._app_state.settings, Caller.of(request)
        content = await read_bytes(
            request, body, settings.max_body_bytes, settings.receive_s, caller.deadline
        )
        instance = await self._read(request, content, caller)
        if "model" in instance.options:
            raise OptionError.of("model", "is named by the path; leave it out")
        media_type = self._choose_format(request)
        is_plain = media_type == JSON and _OWN_WIRE.isdisjoint(instance.options)
        given = {**self._defaults, **instance.options} if is_plain else instance.options
        if media_type == NPY:  # as in the nested lists
            given = {"channels": "all", **given}
        resolved = self._inference.resolve({**given, "model": model}, media_type)
        add_log_fields(request, **resolved.log_fields)
        computed = await self._inference.compute(instance.image, resolved, caller)
        if not is_plain:
            return await self._inference.render(computed, caller)
        return await self._respond(computed, caller)

    async def _read(self, request: Request, content: bytes, caller: Caller) -> Instance:
        query = query_options(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == MULTIPART:
            return await _read_form(request.headers, content, query)
        if media_type == JSON:
            is_inline = is_small(len(content))
            return await self._app_state.executor.run(
                is_inline, caller.deadline, parse_instance, content, query
            )
        return Instance(check_raw(content), query)

    def _choose_format(self, request: Request) -> str:
        try:
            return choose_format(request, self._operation.media_types)
        except NotAcceptable:
            return JSON  # TorchServe ignores `Accept`

    async def _respond(self, computed: Computed, caller: Caller) -> Response:
        executor, is_inline = self._app_state.executor, computed.renderer.is_small
        with caller.timings.measure("render"):
            content = await executor.run(is_inline, caller.deadline, self._write, computed)
        return Response(content, media_type=JSON, headers=VARY)


async def _read_form(headers: Headers, content: bytes, query: Mapping[str, Any]) -> Instance:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    upload = await read_multipart(headers, stream(), len(content), 1, (DATA_FIELD,))
    (image,) = upload.images
    if isinstance(image, ServiceError):
        raise image
    return Instance(image, {**query, **upload.options})


def _check_version(model: str, version: str | None) -> None:
    if version is not None and version not in VERSIONS:
        raise ModelVersionNotFound(
            f"the model '{model}' has no version '{shorten(version)}'; it has one: {VERSIONS[0]}"
        )


def _write_probabilities(computed: Computed) -> bytes:
    """The probabilities of the best classes, by label."""
    resolved = computed.resolved
    fields = predict_fields(resolved.card, computed.result.logits, resolved.options, computed.image)
    return json_bytes({each["label"]: each["probability"] for each in fields["predictions"]})


def _write_relevance(computed: Computed) -> bytes:
    """The relevance, of shape (C, H, W) by default; with `targets` a list of them."""
    renderer = cast("ExplanationRenderer", computed.renderer)
    arrays = [target.array() for target in renderer.targets]
    return json_bytes(arrays if renderer.resolved.has_list else arrays[0])
