"""The pipeline of `/predict` and `/explain`: read, resolve, decode, queue, respond.

With the cache on, a request whose response is kept skips all but the first two.
"""

from __future__ import annotations

from typing import Generic

from starlette.requests import Request
from starlette.responses import Response

from service.api.executor import is_small
from service.api.inference import Caller, Inference, Operation, Resolved
from service.api.middleware.request_context import add_log_fields
from service.api.rate_limit import check_rate
from service.api.request.accept import choose_format
from service.api.request.body import read_upload
from service.api.request.body_budget import Body
from service.api.request.options import Options
from service.api.state import AppState
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
            *(request, body, settings.max_body_bytes, settings.receive_s),
            *(app_state.executor, caller.deadline),
        )
        resolved = self._inference.resolve(upload.options, media_type)
        add_log_fields(request, **resolved.log_fields)
        if app_state.cache.is_on and app_state.queue.state in _SERVING:
            return await self._respond_cached(caller, upload.image, resolved)
        return await self._respond(caller, upload.image, resolved)

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
