"""`infer`: images in, tensors out, whatever the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.api.inference import Caller, Computed, Inference
from service.api.protocols.open_inference.messages import InferRequest, OutputTensor
from service.api.protocols.open_inference.outputs import is_small_item, make_item, make_tensor
from service.api.protocols.open_inference.plan import (
    ELSEWHERE,
    Plan,
    check_size,
    choose_outputs,
    options_of,
    timeout_s,
)
from service.api.protocols.open_inference.tensors import IMAGE, Images, images_of
from service.api.request.options import EVIDENCE
from service.api.request.resolved import resolve_predict
from service.api.routes.explain import EXPLAIN
from service.api.routes.predict import PREDICT
from service.api.state import AppState
from service.errors import ServiceError


@dataclass(frozen=True)
class InferResult:
    """The outputs of a request.

    Attributes
    ----------
    request : InferRequest
        With the outputs that it names, or the default ones.
    parameters : dict
        Of the response.
    """

    request: InferRequest
    outputs: list[OutputTensor]
    parameters: dict[str, str]


class OpenInference:
    """Runs the images of requests.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    """

    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        self._explain = Inference(app_state, EXPLAIN, {IMAGE, *ELSEWHERE})
        self._predict = Inference(app_state, PREDICT)

    def images(self, request: InferRequest) -> Images:
        """The images of a request: for large ones, work for a thread.

        Raises
        ------
        RequestError
            Says what is wrong with its tensors.
        """
        return images_of(request.inputs, self._app_state.settings.max_images)

    def plan(self, request: InferRequest, images: Images) -> Plan:
        """Check a request to a model that is served; on the event loop, which replaces models.

        Raises
        ------
        RequestError
            Says what is wrong with its parameters or outputs.
        """
        settings = self._app_state.settings
        # options of relevance are checked for a prediction, too; what is drawn is checked below
        has_evidence = any(output.name == EVIDENCE for output in request.outputs)
        output = f"relevance,{EVIDENCE}" if has_evidence else "relevance"
        given = {**options_of(request.parameters), "model": request.model, "output": output}
        resolved = self._explain.resolve(given)
        plan = Plan(choose_outputs(request, resolved), images, resolved)
        layers = self._app_state.queue.layers.get(request.model, ())
        check_size(plan, layers, settings.max_picture_pixels)
        return plan

    async def run(self, plan: Plan, caller: Caller) -> InferResult:
        """Compute the outputs of a request.

        Raises
        ------
        ServiceError
            As `Inference.compute` does, of the first image that fails.
        """
        limit_s = timeout_s(plan.request.parameters)
        caller = replace(caller, deadline=caller.deadline.at_most(limit_s))
        computed = await all_of([self._compute(plan, image, caller) for image in plan.images])
        with caller.timings.measure("render"):
            outputs = await self._render(plan, computed, caller)
        return InferResult(plan.request, outputs, {"model_sha256": plan.resolved.card.sha256})

    async def _compute(self, plan: Plan, image: Any, caller: Caller) -> Computed:
        if plan.is_explanation:
            return await self._explain.compute(image, plan.resolved, caller)
        resolved = resolve_predict(plan.resolved.options, plan.resolved.card)
        return await self._predict.compute(image, resolved, caller)

    async def _render(
        self, plan: Plan, computed: Sequence[Computed], caller: Caller
    ) -> list[OutputTensor]:
        executor, outputs = self._app_state.executor, plan.request.outputs
        items = [
            await executor.run(
                is_small_item(each, outputs), caller.deadline, make_item, each, outputs
            )
            for each in computed
        ]
        return [
            make_tensor(output, elements)
            for output, elements in zip(outputs, zip(*items, strict=True), strict=True)
        ]


async def all_of(calls: Sequence[Coroutine[Any, Any, Computed]]) -> list[Computed]:
    """Await all calls; where one fails the others are cancelled.

    Raises
    ------
    ServiceError
        Of the first call that failed; its message names the image where there are several.
    """
    if len(calls) == 1:
        return [await calls[0]]
    tasks: list[asyncio.Task[Computed]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(call) for call in calls]
    except BaseExceptionGroup:
        for number, task in enumerate(tasks):
            error = None if task.cancelled() else task.exception()
            if isinstance(error, ServiceError):
                raise _named(error, f"image {number} of {len(tasks)}") from None
            if error is not None:
                raise error from None
        raise
    return [task.result() for task in tasks]


def _named(error: ServiceError, name: str) -> ServiceError:
    """A copy of an error, which other requests may have too, that names an image."""
    named = type(error).__new__(type(error))
    named.__dict__.update(error.__dict__)
    named.detail = f"{name}: {error.detail}"
    return named
