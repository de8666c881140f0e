"""Assemble the application: routers, error handlers, the device queue's life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from service import __version__
from service.api import explain, models, operations, predict
from service.api.answers import EXPLANATION_HEADER
from service.api.docs import add_docs
from service.api.middleware import RequestContext
from service.api.problems import handle_http_exception, handle_service_error
from service.api.services import Services
from service.errors import ServiceError
from service.imaging.warm_up import warm_up_imaging
from service.models.card import read_card
from service.models.registry import served_models
from service.runtime.queue import DeviceQueue, JobRunner
from service.settings import Settings

DESCRIPTION = """What a network sees in an image (`/predict`), and which pixels made it say so
(`/explain`). Try it: open an operation below, choose *Try it out*, pick an image and *Execute*."""


def create_app(
    settings: Settings, on_loaded: Callable[[Services], None] = lambda services: None
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : Settings
        Of this application.
    on_loaded : callable, optional
        Called, on the device thread, when loading the models has ended, well or not.

    Raises
    ------
    BundleError
        A model is not there, or its card is wrong. What is wrong with its weights shows later:
        they are loaded while the port is open already.
    """
    folders, default = served_models(settings.model, settings.models)
    queue = DeviceQueue(
        load=lambda: _load_engines(folders, settings),
        size=settings.queue_size,
        deadline_s=settings.deadline_s,
        on_loaded=lambda: on_loaded(services),
    )
    cards = {name: read_card(folder) for name, folder in folders.items()}
    services = Services(settings, cards, default, queue)
    app = FastAPI(
        title="lrpserve",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_make_lifespan(queue),
        docs_url=None,  # its scripts would come from elsewhere; see add_docs
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.services = services
    for module in (predict, explain, models, operations):
        app.include_router(module.make_router(services))
    app.add_exception_handler(ServiceError, handle_service_error)
    app.add_exception_handler(HTTPException, handle_http_exception)
    _add_cors(app, settings)
    app.add_middleware(RequestContext)
    add_docs(app)
    return app


def _load_engines(folders: Mapping[str, Path], settings: Settings) -> JobRunner:
    # imports torch, on the device thread: the port is open meanwhile
    from service.runtime.load import load_engines

    engines = load_engines(folders, settings.device, settings.architectures)
    warm_up_imaging()
    return engines


def _make_lifespan(
    queue: DeviceQueue,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        queue.close()

    return lifespan


def _add_cors(app: FastAPI, settings: Settings) -> None:
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Accept", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Server-Timing", "Retry-After", EXPLANATION_HEADER],
        )
