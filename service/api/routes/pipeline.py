"""The pipeline of `/predict` and `/explain`: read, resolve, decode, queue, respond.

With the cache on, an image whose response is kept skips all but the first two. Several images of
a request run at once, each as if it came alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from starlette.requests import Request
from starlette.responses import Response

from service.api.executor import is_small
from service.api.inference import Caller, Inference, Operation, Resolved, outcomes_of
from service.api.middleware.request_context import add_log_fields
from service.api.rate_limit import check_rate
from service.api.request.accept import JSON, choose_format
from service.api.request.body import read_upload
from service.api.request.body_budget import Body
from service.api.request.options import Options
from service.api.request.upload import Content
from service.api.response.results import results_response
from service.api.state import AppState
from service.errors import ServiceError
from service.worker_state import State

_SERVING = (State.READY, State.GRACE)


class Pipeline(Generic[Options, Resolved]):
    """Answers the requests of a route.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    operation : Operation
        What the route adds.
    """

    def __init__(self, app_state: AppState, operation: Operation[Options, Resolved]) -> None:
        self._app_state, self._operation = app_state, operation
        self._inference = Inference(app_state, operation)

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        await check_rate(request, self._app_state.rate_limit)
        with self._app_state.body_budget.hold() as body:
            return await self._run(request, body)

    async def _run(self, request: Request, body: Body) -> Response:
        app_state, settings = self._app_state, self._app_state.settings
        media_type = choose_format(request, self._operation.media_types)
        caller = Caller.of(request)
        upload = await read_upload(
            *(request, body, settings.max_body_bytes, settings.max_images),
            *(settings.receive_s, app_state.executor, caller.deadline),
        )
        if upload.is_list:
            media_type = choose_format(request, [JSON], "several images")
        resolved = self._inference.resolve(upload.options, media_type, len(upload.images))
        add_log_fields(request, **resolved.log_fields)
        if upload.is_list:
            return await self._respond_to_all(request, caller, upload.images, resolved)
        return await self._respond_to(caller, upload.images[0], resolved)

    async def _respond_to_all(
        self, request: Request, caller: Caller, images: Sequence[Content], resolved: Resolved
    ) -> Response:
        """The response to several images, each of which has its own outcome."""
        outcomes = await outcomes_of(
            [self._respond_to(caller, image, resolved) for image in images]
        )
        n_failed = sum(isinstance(outcome, ServiceError) for outcome in outcomes)
        add_log_fields(request, images=len(images), images_failed=n_failed)
        return results_response(outcomes, request.state.request_id)

    async def _respond_to(self, caller: Caller, image: Content, resolved: Resolved) -> Response:
        if isinstance(image, ServiceError):
            raise image
        if self._app_state.cache.is_on and self._app_state.queue.state in _SERVING:
            return await self._respond_cached(caller, image, resolved)
        return await self._respond(caller, image, resolved)

    async def _respond_cached(self, caller: Caller, content: bytes, resolved: Resolved) -> Response:
        app_state, cache = self._app_state, self._app_state.cache
        with caller.timings.measure("cache"):
            key = await app_state.executor.run(
                is_small(len(content)), caller.deadline, cache.key, content, resolved
            )
            cached = cache.get(key)
        app_state.metrics.cache_lookups.labels("miss" if cached is None else "hit").inc()
        if cached is not None:
            return cached
        response = await self._respond(caller, content, resolved)
        cache.put(key, response)
        return response

    async def _respond(self, caller: Caller, content: bytes, resolved: Resolved) -> Response:
        computed = await self._inference.compute(content, resolved, caller)
        return await self._inference.render(computed, caller)
