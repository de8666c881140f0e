"""`POST /explain`: which pixels made the network say so."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from service.api.cache import Asked
from service.api.middleware.request_context import Timings, deadline_of, note, timings_of
from service.api.openapi import request_schema
from service.api.rate_limit import check_rate
from service.api.request.accept import JSON, NPY, PNG, choose_format
from service.api.request.body import read_upload
from service.api.request.image import is_small, load_picture
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import ResolvedRequest, resolve
from service.api.response.explanation import (
    EXPLANATION_HEADER,
    MAX_HEADER,
    ExplanationResponse,
    check_output,
)
from service.api.response.problems import PROBLEM_RESPONSES
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.api.routes.reuse import cached
from service.api.routing import DirectRoute
from service.api.state import AppState
from service.imaging.decode import EncodedImage
from service.runtime.deadline import Deadline

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    EXPLANATION_HEADER: {
        "description": "With a PNG or an array: the rest of the answer, as ASCII JSON of at most "
        f"{MAX_HEADER} characters: of long lists what fits",
        "schema": {"type": "string"},
    }
}
_OK: dict[int | str, dict[str, Any]] = {
    200: {"headers": _HEADERS, "content": {PNG: _BINARY, NPY: _BINARY}}
}


def make_router(app_state: AppState) -> APIRouter:
    """Make the route of `/explain`."""
    router, settings = APIRouter(tags=["images"], route_class=DirectRoute), app_state.settings

    @router.post(
        "/explain",
        response_model=ExplainResponse | TargetsResponse,
        responses=_OK | PROBLEM_RESPONSES,
        openapi_extra=request_schema(ExplainOptions, {"output": "heatmap,relevance"}),
        summary="Which pixels made it say so",
    )
    async def explain(request: Request) -> Response:
        """Return the relevance of each pixel: as a heatmap, an overlay, or numbers.

        `Accept: application/json` (the default) gives all of it, `image/png` the picture and
        `application/x-npy` the relevance; with the last two, the rest is in `X-Explanation`.
        """
        check_rate(request, app_state.rate_limit)
        media_type = choose_format(request, [JSON, PNG, NPY])
        deadline = deadline_of(request)
        upload = await read_upload(request, settings.max_body_bytes, settings.receive_s, deadline)
        options = parse_options(ExplainOptions, upload.options, app_state.cards)
        card = app_state.card(options.model)
        resolved = resolve(options, card, app_state.queue.layers.get(card.name, ()))
        note(request, model=card.name, composite=resolved.method.composite)
        check_output(resolved, media_type)
        answer = partial(
            _answer, app_state, timings_of(request), deadline, upload.image, resolved, media_type
        )
        asked = Asked("explain", media_type, card.name, options, resolved.resolved)
        return await cached(app_state, request, upload.image, asked, answer)

    return router


async def _answer(
    app_state: AppState,
    timings: Timings,
    deadline: Deadline,
    content: bytes,
    resolved: ResolvedRequest,
    media_type: str,
) -> Response:
    options, card = resolved.options, resolved.card
    with timings.measure("decode"):
        file = EncodedImage(content)
        image, view = await app_state.executor.run(
            is_small(file, options),
            deadline,
            load_picture,
            *(file, options, card, app_state.settings.max_pixels),
        )
    done = await app_state.queue.submit(resolved.job(image.pixels), deadline)
    timings.add("queue", done.queue_ms)
    timings.add("compute", done.compute_ms)
    answer = ExplanationResponse(resolved, done.result, image)
    with timings.measure("render"):
        return await app_state.executor.run(
            answer.is_small, deadline, answer.respond, media_type, view
        )
