"""Answers from the cache where they are there, and nothing but a tag for who has them already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from service.api.cache import Asked
from service.api.middleware.request_context import deadline_of, timings_of
from service.api.state import AppState
from service.worker_state import State

_SMALL_BYTES = 1 << 17  # are hashed at once: to use a thread would take longer
_SERVING = (State.READY, State.GRACE)


async def cached(
    app_state: AppState,
    request: Request,
    image: bytes,
    asked: Asked,
    answer: Callable[[], Awaitable[Response]],
) -> Response:
    """Answer from the cache, or else compute the answer and keep it.

    With `If-None-Match`, who has the answer already gets a 304, though HTTP wants a 412 for POST:
    this POST only reads, as a QUERY would.

    Parameters
    ----------
    app_state : AppState
        Their cache counts; while they do not serve, it knows nothing.
    request : Request
        Found to be valid, but for its image.
    image : bytes
        The file.
    asked : Asked
        What is asked about it.
    answer : callable
        Computes the answer.
    """
    cache = app_state.cache
    if not cache.is_on or app_state.queue.state not in _SERVING:
        return await answer()
    with timings_of(request).measure("cache"):
        is_small, deadline = len(image) <= _SMALL_BYTES, deadline_of(request)
        key = await app_state.executor.run(is_small, deadline, cache.key, image, asked)
        known = cache.find(key, ", ".join(request.headers.getlist("if-none-match")))
    app_state.metrics.cache_lookups.labels("miss" if known is None else "hit").inc()
    return known or cache.keep(key, await answer())
