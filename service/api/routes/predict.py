"""`POST /predict`: what the network sees."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from service.api.cache import Asked
from service.api.middleware.request_context import Timings, deadline_of, note, timings_of
from service.api.openapi import request_schema
from service.api.rate_limit import check_rate
from service.api.request.accept import JSON, choose_format
from service.api.request.body import read_upload
from service.api.request.image import is_small, load_picture
from service.api.request.options import PredictOptions, parse_options
from service.api.response.explanation import json_response
from service.api.response.problems import PROBLEM_RESPONSES
from service.api.response.schemas import PredictResponse
from service.api.response.scores import predict_fields
from service.api.routes.reuse import cached
from service.api.routing import DirectRoute
from service.api.state import AppState
from service.imaging.decode import EncodedImage
from service.models.card import ModelCard
from service.runtime.deadline import Deadline
from service.runtime.jobs import PredictJob


def make_router(app_state: AppState) -> APIRouter:
    """Make the route of `/predict`."""
    router, settings = APIRouter(tags=["images"], route_class=DirectRoute), app_state.settings

    @router.post(
        "/predict",
        response_model=PredictResponse,
        responses=PROBLEM_RESPONSES,
        openapi_extra=request_schema(PredictOptions, {"top_k": 3}),
        summary="What the network sees",
    )
    async def predict(request: Request) -> Response:
        """Return the best classes of an image with their probabilities and logits."""
        check_rate(request, app_state.rate_limit)
        choose_format(request, [JSON])
        deadline = deadline_of(request)
        upload = await read_upload(request, settings.max_body_bytes, settings.receive_s, deadline)
        options = parse_options(PredictOptions, upload.options, app_state.cards)
        card = app_state.card(options.model)
        note(request, model=card.name)
        answer = partial(
            _answer, app_state, timings_of(request), deadline, upload.image, options, card
        )
        asked = Asked("predict", JSON, card.name, options)
        return await cached(app_state, request, upload.image, asked, answer)

    return router


async def _answer(
    app_state: AppState,
    timings: Timings,
    deadline: Deadline,
    content: bytes,
    options: PredictOptions,
    card: ModelCard,
) -> Response:
    with timings.measure("decode"):
        file = EncodedImage(content)
        image, _ = await app_state.executor.run(
            is_small(file, options),
            deadline,
            load_picture,
            *(file, options, card, app_state.settings.max_pixels),
        )
    done = await app_state.queue.submit(PredictJob(image.pixels, card.name), deadline)
    timings.add("queue", done.queue_ms)
    timings.add("compute", done.compute_ms)
    return json_response(predict_fields(card, done.result.logits, options, image))
