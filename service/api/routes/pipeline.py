"""The pipeline of `/predict` and `/explain`: read, resolve, decode, queue, respond.

With the cache on, a request whose response is kept skips all but the first two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from service.api.executor import is_small
from service.api.middleware.client import client_of
from service.api.middleware.request_context import add_log_fields, deadline_of, timings_of
from service.api.rate_limit import check_rate
from service.api.request.accept import choose_format
from service.api.request.body import read_upload
from service.api.request.body_budget import Body
from service.api.request.image import picture_spec
from service.api.request.options import Options, parse_options
from service.api.request.resolved import ResolvedRequest
from service.api.request.response_size import check_response_size
from service.api.state import AppState
from service.imaging.fit import FittedImage
from service.imaging.pictures import Pictures
from service.models.card import ModelCard
from service.runtime.deadline import Deadline
from service.runtime.jobs import LayerInfo
from service.worker_state import State

_SERVING = (State.READY, State.GRACE)
Resolved = TypeVar("Resolved", bound=ResolvedRequest)


class Renderer(Protocol):
    """Writes the response of a result."""

    @property
    def is_small(self) -> bool:
        """Whether `render` is work for the event loop."""
        ...

    def steps(self, pictures: Pictures | None) -> Sequence[Callable[[], object]]:
        """Work for a thread that `render` would else do, such as to draw one picture each."""
        ...

    def render(self, media_type: str, pictures: Pictures | None) -> Response:
        """Write the response; `pictures` are those of the image."""
        ...


@dataclass(frozen=True)
class Operation(Generic[Options, Resolved]):
    """What a route adds to the pipeline.

    Attributes
    ----------
    options : type
        Model of the options.
    media_types : sequence of str
        Formats of the response, the default first.
    resolve : callable
        Checks options against a model's card and layers, for a format.
    renderer : callable
        Makes the renderer of a resolved request, its job's result and its image.
    """

    options: type[Options]
    media_types: Sequence[str]
    resolve: Callable[[Options, ModelCard, Sequence[LayerInfo], str], Resolved]
    renderer: Callable[[Resolved, Any, FittedImage], Renderer]


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

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        await check_rate(request, self._app_state.rate_limit)
        with self._app_state.body_budget.hold() as body:
            return await self._run(request, body)

    async def _run(self, request: Request, body: Body) -> Response:
        app_state, settings = self._app_state, self._app_state.settings
        media_type = choose_format(request, self._operation.media_types)
        deadline = deadline_of(request)
        upload = await read_upload(
            *(request, body, settings.max_body_bytes, settings.receive_s),
            *(app_state.executor, deadline),
        )
        options = parse_options(self._operation.options, upload.options, app_state.cards)
        card = app_state.card(options.model)
        layers = app_state.queue.layers.get(card.name, ())
        resolved = self._operation.resolve(options, card, layers, media_type)
        check_response_size(resolved, layers, settings.max_picture_pixels)
        resolved.check_passes(settings.max_passes)
        add_log_fields(request, **resolved.log_fields)
        if app_state.cache.is_on and app_state.queue.state in _SERVING:
            return await self._respond_cached(request, deadline, upload.image, resolved)
        return await self._respond(request, deadline, upload.image, resolved)

    async def _respond_cached(
        self, request: Request, deadline: Deadline, content: bytes, resolved: Resolved
    ) -> Response:
        app_state, cache = self._app_state, self._app_state.cache
        with timings_of(request).measure("cache"):
            key = await app_state.executor.run(
                is_small(len(content)), deadline, cache.key, content, resolved
            )
            cached = cache.get(key)
        app_state.metrics.cache_lookups.labels("miss" if cached is None else "hit").inc()
        if cached is not None:
            return cached
        response = await self._respond(request, deadline, content, resolved)
        cache.put(key, response)
        return response

    async def _respond(
        self, request: Request, deadline: Deadline, content: bytes, resolved: Resolved
    ) -> Response:
        app_state, timings = self._app_state, timings_of(request)
        with timings.measure("decode"):
            spec = picture_spec(resolved.options, resolved.card)
            image, pictures = await app_state.decoder.load(content, spec, deadline)
        job = resolved.job(image.pixels)
        done = await app_state.queue.submit(job, deadline, client_of(request.scope))
        timings.add("queue", done.queue_ms)
        timings.add("compute", done.compute_ms)
        renderer = self._operation.renderer(resolved, done.result, image)
        with timings.measure("render"):
            return await self._render(renderer, deadline, resolved.media_type, pictures)

    async def _render(
        self, renderer: Renderer, deadline: Deadline, media_type: str, pictures: Pictures | None
    ) -> Response:
        executor, is_small = self._app_state.executor, renderer.is_small
        if not is_small:  # in steps, so that a thread works on at most until the end of one
            for step in renderer.steps(pictures):
                await executor.run(False, deadline, step)
        return await executor.run(is_small, deadline, renderer.render, media_type, pictures)
