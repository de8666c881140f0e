"""KServe's v1 protocol: several images in a request, each with an outcome of its own.

The contract:

- A request has the status 200 where one of its instances has. Else it has the status of an error
  that a client may retry, or of the first: so a client of one image sees its error.
- Results are in the order of the instances, each with its `status`, and its `error` if it failed.
- Nothing of the headers of a request comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from fastapi import APIRouter, Request, Response

from service.api.executor import is_small
from service.api.inference import Caller, Inference, Operation, Resolved, outcomes_of
from service.api.middleware.request_context import add_log_fields
from service.api.openapi import DirectRoute
from service.api.protocols.instances import ELSEWHERE, Instance, parse_instances
from service.api.protocols.kserve_schemas import (
    IMAGE_RESPONSES,
    LIST_RESPONSES,
    READY_RESPONSES,
    Explanations,
    ModelNames,
    ModelReady,
    Predictions,
    request_schema,
)
from service.api.rate_limit import check_rate
from service.api.request.accept import JSON
from service.api.request.body import check_raw, query_options, read_bytes, refuse_query
from service.api.request.options import ExplainOptions, Options, PredictOptions
from service.api.response.scores import json_bytes, predict_fields
from service.api.routes.explain import EXPLAIN
from service.api.routes.health import readiness
from service.api.routes.predict import PREDICT
from service.api.state import AppState
from service.errors import NotReady, OptionError, ServiceError
from service.worker_state import State

_MAX_ERRORS = 5  # that the error of a request repeats
_OK = b'{"status":200,'  # and the fields of the response of our own wire


def make_router(app_state: AppState) -> APIRouter:
    """Make the routes under `/v1`."""
    router = APIRouter(tags=["KServe v1"])
    router.include_router(_make_image_router(app_state))

    @router.get(
        "/v1/models", response_model=ModelNames, responses=LIST_RESPONSES, summary="All models"
    )
    async def v1_models() -> dict[str, Any]:
        """List the names of the served models."""
        return {"models": list(app_state.cards)}

    @router.get(
        "/v1/models/{model}",
        response_model=ModelReady,
        responses=READY_RESPONSES,
        summary="Readiness of a model",
    )
    async def v1_model(model: str) -> dict[str, Any]:
        """Return 200 if the model takes requests, and 503 while it is loaded."""
        app_state.check_model(model)
        state = readiness(app_state)
        if state is not State.READY:
            raise NotReady(
                f"the model '{model}' is not ready: the service is {state.value}",
                headers={"Retry-After": "1"},
            )
        return {"name": model, "ready": True}

    return router


def _make_image_router(app_state: AppState) -> APIRouter:
    router = APIRouter(route_class=DirectRoute)
    predict_instances = _Instances(app_state, PREDICT)
    explain_instances = _Instances(app_state, EXPLAIN)

    @router.post(
        "/v1/models/{model}:predict",
        response_model=Predictions,
        responses=IMAGE_RESPONSES,
        openapi_extra=request_schema(PredictOptions),
        summary="What the network sees in several images",
    )
    async def v1_predict(request: Request) -> Response:
        """Return the best classes of each image, in the order of `instances`."""
        return await predict_instances.run(request)

    @router.post(
        "/v1/models/{model}:explain",
        response_model=Explanations,
        responses=IMAGE_RESPONSES,
        openapi_extra=request_schema(ExplainOptions),
        summary="Which pixels of several images made it say so",
    )
    async def v1_explain(request: Request) -> Response:
        """Return the relevance of each image's pixels, in the order of `instances`."""
        return await explain_instances.run(request)

    return router


@dataclass(frozen=True)
class _Result:
    """JSON of an instance; without an explanation where it is only predicted."""

    prediction: bytes
    explanation: bytes = b""


class _Instances(Generic[Options, Resolved]):
    """Answers requests with several images.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    operation : Operation
        What to do with each image.
    """

    def __init__(self, app_state: AppState, operation: Operation[Options, Resolved]) -> None:
        self._app_state, self._is_explain = app_state, operation.options is ExplainOptions
        self._inference = Inference(app_state, operation, ELSEWHERE)

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        await check_rate(request, self._app_state.rate_limit)
        model: str = request.path_params["model"]
        self._app_state.check_model(model)
        caller = Caller.of(request)
        with self._app_state.body_budget.hold() as body:
            settings = self._app_state.settings
            content = await read_bytes(
                request, body, settings.max_body_bytes, settings.receive_s, caller.deadline
            )
            instances = await self._parse(request, content, caller)
            del content
            add_log_fields(request, model=model, images=len(instances))
            resolved = self._resolve(instances, model)
            first = next((each for each in resolved if not isinstance(each, ServiceError)), None)
            if first is not None:
                add_log_fields(request, **first.log_fields)
            calls = zip(instances, resolved, strict=True)
            outcomes = await outcomes_of([self._answer(*call, caller) for call in calls])
        return _respond(outcomes, is_explain=self._is_explain)

    async def _parse(
        self, request: Request, content: bytes, caller: Caller
    ) -> Sequence[Instance | ServiceError]:
        if request.headers.get("content-type", "").lower().startswith("image/"):
            return [Instance(check_raw(content), query_options(request))]
        refuse_query(request)
        is_inline, max_images = is_small(len(content)), self._app_state.settings.max_images
        return await self._app_state.executor.run(
            is_inline, caller.deadline, parse_instances, content, max_images
        )

    def _resolve(
        self, instances: Sequence[Instance | ServiceError], model: str
    ) -> list[Resolved | ServiceError]:
        def resolve(options: Mapping[str, Any]) -> Resolved | ServiceError:
            try:
                if "model" in options:
                    raise OptionError.of("model", "is named by the path; leave it out")
                given = {**options, "model": model}
                return self._inference.resolve(given, n_images=len(instances))
            except ServiceError as error:
                return error

        read = [each for each in instances if isinstance(each, Instance)]
        options = {id(each.options): each.options for each in read}  # most share those of all
        resolved = {key: resolve(each) for key, each in options.items()}
        return [
            resolved[id(each.options)] if isinstance(each, Instance) else each for each in instances
        ]

    async def _answer(
        self, instance: Instance | ServiceError, resolved: Resolved | ServiceError, caller: Caller
    ) -> _Result:
        if isinstance(instance, ServiceError):
            raise instance
        if isinstance(resolved, ServiceError):
            raise resolved
        computed = await self._inference.compute(instance.image, resolved, caller)
        scores = predict_fields(
            resolved.card, computed.result.logits, resolved.options, computed.image
        )
        prediction = _OK + json_bytes(scores)[1:]
        if not self._is_explain:
            return _Result(prediction)
        response = await self._inference.render(computed, caller)
        return _Result(prediction, _OK + bytes(response.body)[1:])


def _respond(outcomes: Sequence[_Result | ServiceError], *, is_explain: bool) -> Response:
    """Make the response; where every instance failed, it has the status of an error."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    results = [_failed(each) if isinstance(each, ServiceError) else each for each in outcomes]
    members = [_member("predictions", [result.prediction for result in results])]
    if is_explain:
        members.append(_member("explanations", [result.explanation for result in results]))
    if len(errors) < len(outcomes):
        return Response(_object(members), media_type=JSON)
    error = next((each for each in errors if each.is_retried), errors[0])
    members.insert(0, b'"error":' + _ascii(_error_text(errors)))
    return Response(_object(members), error.status, error.headers, media_type=JSON)


def _failed(error: ServiceError) -> _Result:
    item = _ascii({"status": error.status, "error": error.detail})
    return _Result(item, item)


def _error_text(errors: Sequence[ServiceError]) -> str:
    """The error of all instances, or those of the first ones."""
    if len({error.detail for error in errors}) == 1:
        return errors[0].detail
    listed = [f"instance {n}: {error.detail}" for n, error in enumerate(errors[:_MAX_ERRORS])]
    n_more = len(errors) - len(listed)
    return "; ".join([*listed, f"and {n_more} more"] if n_more else listed)


def _member(name: str, items: Sequence[bytes]) -> bytes:
    return f'"{name}":['.encode() + b",".join(items) + b"]"


def _object(members: Sequence[bytes]) -> bytes:
    return b"{" + b",".join(members) + b"}"


def _ascii(value: Any) -> bytes:
    # ASCII: what a client sent may hold lone surrogates, which UTF-8 cannot carry
    return json.dumps(value, ensure_ascii=True).encode()
