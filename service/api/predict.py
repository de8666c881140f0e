"""`POST /predict`: what the network sees."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.answers import json_response
from service.api.formats import JSON, choose_format
from service.api.images import is_small, load_picture
from service.api.inputs import read_upload
from service.api.middleware import timings_of
from service.api.openapi import request_schema
from service.api.options import PredictOptions, parse_options
from service.api.problems import PROBLEM_RESPONSES
from service.api.schemas import PredictAnswer
from service.api.scores import predict_fields
from service.api.services import Services
from service.runtime.jobs import PredictJob


def make_router(services: Services) -> APIRouter:
    """Make the route of `/predict`."""
    router = APIRouter(tags=["images"])

    @router.post(
        "/predict",
        response_model=PredictAnswer,
        responses=PROBLEM_RESPONSES,
        openapi_extra=request_schema(PredictOptions, {"top_k": 3}),
        summary="What the network sees",
    )
    async def predict(request: Request) -> Response:
        """Return the best classes of an image with their probabilities and logits."""
        choose_format(request, [JSON])
        timings = timings_of(request)
        upload = await read_upload(request, services.settings.max_body_bytes)
        options = parse_options(PredictOptions, upload.options, services.cards)
        card = services.card(options.model)
        with timings.measure("decode"):
            image, _ = await services.workers.run(
                is_small(upload.image, options),
                load_picture,
                *(upload.image, options, card, services.settings.max_pixels),
            )
        done = await services.queue.submit(PredictJob(image.pixels, card.name))
        timings.add("queue", done.queue_ms)
        timings.add("compute", done.compute_ms)
        return json_response(predict_fields(card, done.result.logits, options, image))

    return router
