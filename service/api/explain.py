"""`POST /explain`: which pixels made the network say so."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.answers import EXPLANATION_HEADER, ExplanationAnswer, check_output
from service.api.formats import JSON, NPY, PNG, choose_format
from service.api.images import load_picture
from service.api.inputs import read_upload
from service.api.middleware import timings_of
from service.api.openapi import request_schema
from service.api.options import ExplainOptions, class_index, parse_options
from service.api.problems import PROBLEM_RESPONSES
from service.api.schemas import ExplainAnswer
from service.api.services import Services
from service.runtime.jobs import ExplainJob

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    EXPLANATION_HEADER: {
        "description": "With a PNG or an array: the rest of the answer, as ASCII JSON",
        "schema": {"type": "string"},
    }
}
_OK: dict[int | str, dict[str, Any]] = {
    200: {"headers": _HEADERS, "content": {PNG: _BINARY, NPY: _BINARY}}
}


def make_router(services: Services) -> APIRouter:
    """Make the route of `/explain`."""
    router = APIRouter(tags=["images"])

    @router.post(
        "/explain",
        response_model=ExplainAnswer,
        responses=_OK | PROBLEM_RESPONSES,
        openapi_extra=request_schema(ExplainOptions, {"output": "heatmap,relevance"}),
        summary="Which pixels made it say so",
    )
    async def explain(request: Request) -> Response:
        """Return the relevance of each pixel: as a heatmap, an overlay, or numbers.

        `Accept: application/json` (the default) gives all of it, `image/png` the picture and
        `application/x-npy` the relevance; with the last two, the rest is in `X-Explanation`.
        """
        media_type = choose_format(request, [JSON, PNG, NPY])
        timings = timings_of(request)
        upload = await read_upload(request, services.settings.max_body_bytes)
        options = parse_options(ExplainOptions, upload.options, services.card)
        check_output(options, media_type)
        method = options.method()
        target = class_index("target", options.target, services.card)
        contrast = class_index("contrast", options.contrast, services.card)
        with timings.measure("decode"):
            image, view = await run_in_threadpool(
                load_picture, upload.image, options, services.card, services.settings.max_pixels
            )
        job = ExplainJob(image.pixels, method, target, contrast, options.start)
        done = await services.queue.submit(job)
        timings.add("queue", done.queue_ms)
        timings.add("compute", done.compute_ms)
        answer = ExplanationAnswer(services.card, options, done.result, image, contrast)
        with timings.measure("render"):
            return await run_in_threadpool(answer.respond, media_type, view)

    return router
