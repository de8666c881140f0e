"""Runs images through an operation: resolve, decode, queue, render. Knows nothing of HTTP's bodies.

Every wire of the service, its own and those of others, runs its images here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from service.api.middleware.client import client_of
from service.api.middleware.request_context import deadline_of, timings_of
from service.api.middleware.timings import Timings
from service.api.request.accept import JSON
from service.api.request.image import picture_spec
from service.api.request.options import Options, parse_options
from service.api.request.resolved import ResolvedRequest
from service.api.request.response_size import check_response_size
from service.api.state import AppState
from service.api.statistics import ModelStatistics
from service.errors import ServiceError
from service.imaging.fit import FittedImage
from service.imaging.pictures import Pictures
from service.models.card import ModelCard
from service.runtime.deadline import Deadline
from service.runtime.jobs import LayerInfo, Pixels

_MAX_DECODING = 4  # of the images of a request

Resolved = TypeVar("Resolved", bound=ResolvedRequest)
T = TypeVar("T")


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
    """What to do with an image.

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


@dataclass(frozen=True)
class Caller:
    """What the images of a request have in common.

    Attributes
    ----------
    client : str
        Who sent it; clients take turns.
    decoding : Semaphore
        Bounds how many of the images are decoded at once, as decoders refuse work beyond theirs.
    """

    deadline: Deadline
    client: str
    timings: Timings
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_DECODING))

    @classmethod
    def of(cls, request: Request) -> Caller:
        """The caller of an HTTP request."""
        return cls(deadline_of(request), client_of(request.scope), timings_of(request))


@dataclass(frozen=True)
class Computed:
    """An image with its result.

    Attributes
    ----------
    result : Prediction or Explanation
        Of its job.
    image : FittedImage
        As the network saw it.
    pictures : Pictures or None
        As responses show it, where the options ask for that.
    renderer : Renderer
        Writes it on the service's own wire.
    """

    resolved: ResolvedRequest
    result: Any
    image: FittedImage
    pictures: Pictures | None
    renderer: Renderer


class Inference(Generic[Options, Resolved]):
    """Runs images through an operation.

    Parameters
    ----------
    app_state : AppState
        Shared by all routes.
    operation : Operation
        What to do with an image.
    elsewhere : collection of str
        As `parse_options` has it.
    """

    def __init__(
        self,
        app_state: AppState,
        operation: Operation[Options, Resolved],
        elsewhere: Collection[str] = (),
    ) -> None:
        self._app_state, self._operation = app_state, operation
        self._elsewhere = elsewhere

    def resolve(
        self, given: Mapping[str, Any], media_type: str = JSON, n_images: int = 1
    ) -> Resolved:
        """Check the options of a request, and how much work it is.

        Parameters
        ----------
        given : mapping of str to Any
            The options as they were sent.
        media_type : str
            Format of the response.
        n_images : int
            Number of images that have these options: the bounds are on all of them together.

        Raises
        ------
        OptionError
            Names every wrong option and what is allowed.
        """
        app_state, settings = self._app_state, self._app_state.settings
        kind, cards = self._operation.options, app_state.cards
        options = parse_options(kind, given, cards, self._elsewhere)
        card = app_state.card(options.model)
        layers = app_state.queue.layers.get(card.name, ())
        resolved = self._operation.resolve(options, card, layers, media_type)
        check_response_size(resolved, layers, settings.max_picture_pixels, n_images)
        resolved.check_passes(settings.max_passes, n_images)
        return resolved

    async def compute(self, image: bytes | Pixels, resolved: Resolved, caller: Caller) -> Computed:
        """Decode an image and run its job.

        Parameters
        ----------
        image : bytes or numpy.ndarray
            An image file, or RGB pixels, uint8 of shape (H, W, 3).
        resolved : ResolvedRequest
            Its options.
        caller : Caller
            Whose request it is.

        Raises
        ------
        ServiceError
            As `Decoder.load` and `DeviceQueue.submit` do.
        """
        statistics = self._app_state.statistics.of(resolved.card.name)
        with statistics.count_image():
            return await self._compute(image, resolved, caller, statistics)

    async def _compute(
        self,
        image: bytes | Pixels,
        resolved: Resolved,
        caller: Caller,
        statistics: ModelStatistics,
    ) -> Computed:
        app_state, timings = self._app_state, caller.timings
        spec = picture_spec(resolved.options, resolved.card)
        async with caller.decoding:
            with timings.measure("decode"):
                fitted, pictures = await app_state.decoder.load(image, spec, caller.deadline)
        job = resolved.job(fitted.pixels)
        done = await timings.measure_job(
            app_state.queue.submit(job, caller.deadline, caller.client)
        )
        statistics.add_batch(done.queue_ms, done.compute_ms, done.batch_size)
        renderer = self._operation.renderer(resolved, done.result, fitted)
        return Computed(resolved, done.result, fitted, pictures, renderer)

    async def render(self, computed: Computed, caller: Caller) -> Response:
        """Write the response on the service's own wire; its body is in memory.

        Raises
        ------
        DeadlineExceeded
            It was not written by the deadline.
        """
        executor, renderer = self._app_state.executor, computed.renderer
        is_small, pictures = renderer.is_small, computed.pictures
        with caller.timings.measure("render"):
            if not is_small:  # in steps, so that a thread works on at most until the end of one
                for step in renderer.steps(pictures):
                    await executor.run(False, caller.deadline, step)
            return await executor.run(
                is_small, caller.deadline, renderer.render, computed.resolved.media_type, pictures
            )


async def outcomes_of(calls: Sequence[Awaitable[T]]) -> list[T | ServiceError]:
    """Await all calls; an error of the service is the outcome of its own call only.

    Parameters
    ----------
    calls : sequence of awaitable
        One for each image. When this is cancelled, or one fails otherwise, all are cancelled.

    Returns
    -------
    list
        Results and errors, in the order of the calls.
    """

    async def outcome_of(call: Awaitable[T]) -> T | ServiceError:
        try:
            return await call
        except ServiceError as error:
            return error

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome_of(call)) for call in calls]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
