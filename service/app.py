"""Assemble the application: routers, error handlers, the device queue's life."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from service import __version__
from service.api.cache import Cache
from service.api.middleware.auth import APIKeyAuth
from service.api.middleware.compression import Compression
from service.api.middleware.cors import add_cors
from service.api.middleware.disconnect import CancelOnDisconnect
from service.api.middleware.load_shedding import LoadShedding
from service.api.middleware.request_context import Failsafe, RequestContext
from service.api.openapi import complete_document
from service.api.rate_limit import make_rate_limit
from service.api.response.problems import handle_http_exception, handle_service_error
from service.api.routes import explain, health, models, predict
from service.api.routes.docs import add_docs
from service.api.routes.playground import add_page
from service.api.state import AppState
from service.errors import ServiceError
from service.imaging.warm_up import warm_up_imaging
from service.metrics import Metrics
from service.models.card import read_card
from service.models.registry import served_models
from service.runtime.device_thread import Engines
from service.runtime.queue import DeviceQueue
from service.settings import Settings
from service.worker_state import WorkerSlot

DESCRIPTION = """What a network sees in an image (`/predict`), and which pixels made it say so
(`/explain`). Try it: open an operation below, choose *Try it out*, pick an image and *Execute*."""


def create_app(
    settings: Settings,
    on_loaded: Callable[[AppState], None] = lambda app_state: None,
    slot: WorkerSlot | None = None,
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : Settings
        Of this application.
    on_loaded : callable, optional
        Called, on a device thread, when loading the models has ended, well or not.
    slot : WorkerSlot, optional
        Its place among the worker processes; by default it is alone.

    Raises
    ------
    BundleError
        A model is not there, or its card is wrong. What is wrong with its weights shows later:
        they are loaded while the port is open already.
    """
    folders, default = served_models(settings.model, settings.models)
    metrics, has_loaded = Metrics(), threading.Event()

    def tell() -> None:
        has_loaded.set()
        on_loaded(app_state)

    queue = DeviceQueue(
        [partial(_load_engines, folders, settings, device) for device in settings.devices],
        size=settings.queue_size,
        on_loaded=tell,
        metrics=metrics,
    )
    cards = {name: read_card(folder) for name, folder in folders.items()}
    app_state = AppState(
        settings,
        cards,
        default,
        queue,
        metrics,
        slot or WorkerSlot(),
        make_rate_limit(settings),
        Cache(settings.cache_bytes, cards),
    )
    app = FastAPI(
        title="lrpserve",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_make_lifespan(app_state, has_loaded if app_state.slot.is_replacement else None),
        docs_url=None,  # its scripts would come from elsewhere; see add_docs
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.lrpserve = app_state
    for module in (predict, explain, models, health):
        app.include_router(module.make_router(app_state))
    app.add_exception_handler(ServiceError, handle_service_error)
    app.add_exception_handler(HTTPException, handle_http_exception)
    # the last one that is added is the first that a request meets
    app.add_middleware(Compression)
    if not app_state.cache.is_on:  # which may have the answer
        app.add_middleware(LoadShedding, queue=queue)
    if settings.api_keys:
        app.add_middleware(APIKeyAuth, keys=settings.api_keys)
    app.add_middleware(Failsafe)  # of those too
    if settings.cors_origins:
        add_cors(app, settings.cors_origins)
    app.add_middleware(RequestContext, metrics=metrics, deadline_s=settings.deadline_s)
    app.add_middleware(CancelOnDisconnect)
    add_docs(app)
    add_page(app)
    complete_document(app, settings)
    return app


def _load_engines(folders: Mapping[str, Path], settings: Settings, device: str) -> Engines:
    # imports torch, on the device thread: the port is open meanwhile
    from service.runtime.engines import load_engines

    n_sharing = settings.workers * len(settings.devices)
    engines = load_engines(
        folders, device, settings.architectures, n_sharing, settings.max_batch_size
    )
    warm_up_imaging()
    return engines


def _make_lifespan(
    app_state: AppState, has_to_load_first: threading.Event | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app_state.queue.start()
        if has_to_load_first:  # the port takes connections after this
            await asyncio.to_thread(has_to_load_first.wait)
        yield
        app_state.queue.close()
        if app_state.rate_limit:
            await app_state.rate_limit.close()

    return lifespan
