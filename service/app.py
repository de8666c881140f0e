"""The FastAPI application: its state, routes, middleware stack and lifespan."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from service import __version__
from service.api.cache import Cache
from service.api.middleware.auth import APIKeyAuth
from service.api.middleware.compression import Compression
from service.api.middleware.cors import add_cors
from service.api.middleware.disconnect import CancelOnDisconnect
from service.api.middleware.errors import handle_http_exception, handle_service_error
from service.api.middleware.load_shedding import LoadShedding
from service.api.middleware.paths import HeadAsGet, Paths
from service.api.middleware.request_context import Failsafe, RequestContext
from service.api.model_watch import ModelWatch
from service.api.models import Models
from service.api.openapi import complete_document
from service.api.protocols import kserve, torchserve
from service.api.protocols.open_inference import routes as open_inference
from service.api.rate_limit import make_rate_limit
from service.api.request.body_budget import BodyBudget
from service.api.routes import explain, health, models, predict
from service.api.routes.docs import add_docs
from service.api.routes.playground import add_page
from service.api.state import AppState
from service.errors import BundleError, ServiceError
from service.imaging.warm_up import warm_up_imaging
from service.metrics import Metrics
from service.models.card import read_card
from service.models.lookup import FoundBundle
from service.models.registry import served_models
from service.runtime.cores import set_wait_policy
from service.runtime.loaded_models import Engines, JobRunner, LoadedModel
from service.runtime.queue import DeviceQueue
from service.runtime.torch_cache import set_torch_cache
from service.settings import Settings
from service.tracing import SpanExport, make_span_export
from service.worker_state import WorkerSlot

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

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
        Called on a device thread when the models are loaded, or cannot be.
    slot : WorkerSlot, optional
        This process among the worker processes; by default it is the only one.

    Raises
    ------
    BundleError
        A model does not exist, or its card is wrong. Errors in its weights are found later: they
        are loaded when the port is open already.
    """
    has_loaded = threading.Event()

    def tell_loaded() -> None:
        try:
            app_state.models.begin()
        finally:
            has_loaded.set()
        on_loaded(app_state)

    span_export = make_span_export()
    tracer = span_export.tracer if span_export else None
    app_state = _make_state(settings, slot or WorkerSlot(), tell_loaded, tracer)
    app = FastAPI(
        title="lrpserve",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_make_lifespan(app_state, has_loaded, span_export),
        docs_url=None,  # its scripts would come from elsewhere; see add_docs
        redoc_url=None,
        servers=None if settings.root_path else [{"url": "."}],  # relative to the document
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # a redirect would lose the prefix of a proxy
    )
    app.state.lrpserve = app_state
    _add_routes(app, app_state)
    _add_middleware(app, app_state)
    complete_document(app, settings)
    return app


def _make_state(
    settings: Settings, slot: WorkerSlot, on_loaded: Callable[[], None], tracer: Tracer | None
) -> AppState:
    served, default = _find_models(settings, slot)
    folders = {name: bundle.folder for name, bundle in served.items()}
    metrics = Metrics()
    queue = DeviceQueue(
        [partial(_load_engines, folders, settings, device) for device in settings.devices],
        size=settings.queue_size,
        on_loaded=on_loaded,
        metrics=metrics,
        versions={name: bundle.card.digest for name, bundle in served.items()},
    )
    return AppState(
        settings,
        Models(settings, served, default, queue, partial(_load_model, settings), slot, metrics),
        queue,
        metrics,
        slot,
        make_rate_limit(settings),
        Cache(settings.cache_bytes),
        body_budget=BodyBudget(max(settings.max_bodies_bytes, settings.max_body_bytes)),
        tracer=tracer,
    )


def _find_models(settings: Settings, slot: WorkerSlot) -> tuple[dict[str, FoundBundle], str]:
    """The models to load at first, and the default: those of the other workers, if any."""
    folders, default = served_models(settings.model, settings.models, settings.model_name)
    if listed := slot.models.read().models:
        folders = {name: Path(model.folder) for name, model in listed.items()}
        folders = {n: path for n, path in folders.items() if path.is_dir() or n == default}
    served = {name: FoundBundle(path, read_card(path, name)) for name, path in folders.items()}
    return served, default


def _add_routes(app: FastAPI, app_state: AppState) -> None:
    for module in (predict, explain, models, health, kserve, torchserve, open_inference):
        app.include_router(module.make_router(app_state))
    add_docs(app)
    add_page(app)
    app.add_exception_handler(ServiceError, handle_service_error)
    app.add_exception_handler(HTTPException, handle_http_exception)


def _add_middleware(app: FastAPI, app_state: AppState) -> None:
    """Add the middleware stack from the inside out: the last one gets a request first."""
    settings = app_state.settings
    app.add_middleware(Compression)
    app.add_middleware(HeadAsGet)
    if not app_state.cache.is_on:  # a cached response needs no place in the queue
        app.add_middleware(LoadShedding, queue=app_state.queue)
    if settings.api_keys:
        app.add_middleware(APIKeyAuth, keys=settings.api_keys)
    app.add_middleware(Failsafe)  # outside of the above: it responds to their errors, too
    if settings.cors_origins:
        add_cors(app, settings.cors_origins)
    app.add_middleware(
        RequestContext,
        metrics=app_state.metrics,
        deadline_s=settings.deadline_s,
        tracer=app_state.tracer,
    )
    app.add_middleware(Paths, root_path=settings.root_path)
    app.add_middleware(CancelOnDisconnect)


def _load_model(
    settings: Settings, bundle: FoundBundle, present: LoadedModel | None
) -> LoadedModel:
    """Load a bundle on all devices, beside what is there."""
    name = bundle.card.name
    engines = []
    for index, device in enumerate(settings.devices):
        like = {name: present.engines[index]} if present else {}
        loaded = _load_engines({name: bundle.folder}, settings, device, like)
        engines.append(loaded[name])
    if read_card(bundle.folder, name) != bundle.card:
        raise BundleError(f"the bundle {bundle.folder} was changed while it was loaded; try again")
    return LoadedModel(bundle.card.digest, engines)


def _load_engines(
    folders: Mapping[str, Path],
    settings: Settings,
    device: str,
    like: Mapping[str, JobRunner] | None = None,
) -> Engines:
    # before torch is imported: here, while the port is open already
    set_wait_policy()
    set_torch_cache()
    from service.runtime.engines import load_engines

    n_sharing = settings.workers * len(settings.devices)
    engines = load_engines(
        *(folders, device, settings.architectures, n_sharing, settings.max_batch_size),
        like=like or {},
    )
    warm_up_imaging()
    return engines


def _background(app_state: AppState) -> Iterator[Coroutine[Any, Any, None]]:
    """What runs beside requests."""
    yield app_state.models.keep_following()
    settings = app_state.settings
    if settings.watch_s and app_state.slot.worker == 0:  # the other workers follow
        yield ModelWatch(app_state.models, settings.models, settings.watch_s).run()


def _make_lifespan(
    app_state: AppState, has_loaded: threading.Event, span_export: SpanExport | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app_state.queue.start()
        if app_state.slot.is_replacement:  # it accepts connections after this
            await asyncio.to_thread(has_loaded.wait)
            await app_state.models.follow()
        tasks = [asyncio.create_task(work) for work in _background(app_state)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(app_state.queue.close)  # the event loop beats meanwhile
        await app_state.decoder.close()
        if app_state.rate_limit:
            await app_state.rate_limit.close()
        if span_export:
            await asyncio.to_thread(span_export.close)

    return lifespan
