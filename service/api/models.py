"""The served models: loaded, replaced and unloaded while the service runs.

The contract:

- A model is loaded, compared with the reference and warmed up beside the one that it replaces. What
  cannot be loaded changes nothing.
- Cards, layers and engines are swapped in one step of the event loop. A request that was resolved
  before is computed by the engine of its card (`service.runtime.loaded_models`).
- One model is loaded or unloaded at a time, in all worker processes, which follow the one that has
  the request (`service.shared_models`).
- A worker that replaces another starts with the listed models, as their bundles are then; where a
  bundle has changed since, the others follow.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from service.api.model_changes import Change, ModelStatus, check_allowed
from service.api.model_workers import ModelWorkers
from service.errors import Conflict, LoadError, NotFound, NotReady, ServiceError, join_names
from service.metrics import Metrics
from service.models.card import ModelCard
from service.models.lookup import FoundBundle, find_again, find_new, read_all
from service.runtime.loaded_models import LoadedModel
from service.runtime.queue import DeviceQueue
from service.settings import Settings
from service.shared_models import SharedModel
from service.text import shorten
from service.worker_state import State, WorkerSlot

logger = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")

FOLLOW_S = 0.1  # between two looks at the list of models
_SERVING = (State.READY, State.GRACE)
# makes the engines of a bundle; those that it replaces lend it what they have measured
Load = Callable[[FoundBundle, LoadedModel | None], LoadedModel]


class Models:
    """The served models of this process.

    Parameters
    ----------
    settings : Settings
        Of the service.
    served : mapping of str to FoundBundle
        What the queue loads at first, by name.
    default : str
        Name of the default model, which cannot be unloaded.
    queue : DeviceQueue
        Runs the engines.
    load : callable
        Makes the engines of a model; called on a thread.
    slot : WorkerSlot
        This process among the worker processes.
    metrics : Metrics
        Counts models that are loaded, and shows what is served.

    Attributes
    ----------
    cards : mapping of str to ModelCard
        The cards, by name.
    """

    def __init__(
        self,
        settings: Settings,
        served: Mapping[str, FoundBundle],
        default: str,
        queue: DeviceQueue,
        load: Load,
        slot: WorkerSlot,
        metrics: Metrics,
    ) -> None:
        self.default, self._settings, self._metrics = default, settings, metrics
        self._queue, self._load_engines = queue, load
        self._workers = ModelWorkers(slot)
        self._served = dict(served)
        self.cards: Mapping[str, ModelCard] = {name: one.card for name, one in served.items()}
        self._loading: str | None = None
        self._failures: dict[str, str] = {}  # of the last attempt to load each
        self._swapping = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def load(self, name: str) -> Change:
        """Load a model, or load it again, in all workers.

        Raises
        ------
        Forbidden
            The settings do not allow it.
        NotFound
            There is no bundle of this name.
        LoadError
            It cannot be loaded. Nothing has changed.
        Conflict
            Another request has been loading for too long.
        LoadIncomplete
            Other workers have not followed.
        """
        check_allowed(self._settings)
        return await self.refresh(name)

    async def refresh(self, name: str) -> Change:
        """Load a model as `load` does, for the service itself."""
        self._check_ready()
        return await self._run(self._load(name))

    async def unload(self, name: str) -> Change:
        """Unload a model in all workers; its accepted requests are answered.

        Raises
        ------
        Forbidden, Conflict, LoadIncomplete
            As `load`; `Conflict` also for the default model.
        NotFound
            It is not loaded.
        """
        check_allowed(self._settings)
        self._check_ready()
        return await self._run(self._unload(name))

    async def index(self) -> list[ModelStatus]:
        """List the models that are served, and those that could be loaded."""
        bundles, problems = await asyncio.to_thread(read_all, self._settings.models)
        reasons = {bundle.card.name: "it is not loaded" for bundle in bundles}
        reasons |= {name: error.detail for name, error in problems.items()}
        return [self._status(name, reasons) for name in {**self._served, **reasons}]

    def begin(self) -> None:
        """Begin when the queue has loaded its models; called on a device thread."""
        models = self._queue.models
        for name, model in models.items():
            model.keep_for(self._served[name].card)
        if models:
            self._workers.begin(self._served)
            self._metrics.show_models({name: card.sha256 for name, card in self.cards.items()})

    def folders(self) -> dict[str, Path]:
        """The folders of the served models' bundles, by name."""
        return {name: bundle.folder for name, bundle in self._served.items()}

    async def follow(self) -> None:
        """Serve what the list of the workers says."""
        async with self._swapping:
            await self._follow()

    async def keep_following(self) -> None:
        """Follow the list until this is cancelled."""
        while True:
            try:
                await self.follow()
            except Exception:
                logger.exception("the models of the other workers cannot be loaded")
            await asyncio.sleep(FOLLOW_S)

    async def _load(self, name: str) -> Change:
        async with self._workers.operation():
            async with self._swapping:
                await self._follow()
                try:
                    change = await self._replace(name)
                finally:  # the modules of the old network, or of a broken one, are in cycles
                    await asyncio.to_thread(gc.collect)
                self._workers.publish(self._served)
            n_workers = await self._workers.wait_for_others()
        return Change(*change, n_workers)

    async def _replace(self, name: str) -> tuple[str, str, str | None, bool]:
        before = self.cards.get(name)
        previous = (before.digest, before.sha256) if before else (None, None)
        del before  # a replaced model is freed with its last request
        bundle = await self._attempt(name, self._find, name)
        is_changed = bundle.card.digest != previous[0]
        if is_changed:
            present = self._queue.models.get(name)
            model = await self._attempt(name, self._load_engines, bundle, present)
            self._swap({**self._served, name: bundle}, {**self._queue.models, name: model})
        else:
            await self._attempt(name, bundle.check_weights)
        self._failures.pop(name, None)
        return name, bundle.card.sha256, previous[1], is_changed

    async def _unload(self, name: str) -> Change:
        if name == self.default:
            raise Conflict(f"{name} is the default model, which cannot be unloaded")
        async with self._workers.operation():
            async with self._swapping:
                await self._follow()
                if name not in self._served:
                    names = join_names(self._served)
                    raise NotFound(f"'{shorten(name)}' is not loaded; these are: {names}")
                sha256 = self.cards[name].sha256
                served = {key: one for key, one in self._served.items() if key != name}
                self._swap(served, {key: self._queue.models[key] for key in served})
                self._workers.publish(served)
            return Change(name, None, sha256, True, await self._workers.wait_for_others())

    async def _follow(self) -> None:
        if self._workers.is_current or not self.is_ready:
            return
        listed = self._workers.read()
        served, models, failures = {}, {}, {}
        for name, wanted in listed.models.items():
            present = self._served.get(name)
            if present is not None:
                served[name], models[name] = present, self._queue.models[name]
            if present is not None and present.card.digest == wanted.version:
                continue
            try:
                bundle = await self._attempt(name, self._find_listed, name, wanted)
                model = await self._attempt(name, self._load_engines, bundle, models.get(name))
                served[name], models[name] = bundle, model
                self._failures.pop(name, None)
            except LoadError as error:
                failures[name] = error.detail
        self._swap(served, models)
        self._workers.acknowledge(listed.generation, failures)

    def _swap(self, served: Mapping[str, FoundBundle], models: Mapping[str, LoadedModel]) -> None:
        """Serve other models from the next request on."""
        for name, model in models.items():
            if self._queue.models.get(name) is not model:
                model.keep_for(served[name].card)
                self._metrics.model_loads.labels("done").inc()
        self._queue.serve(models)
        self._served, self.cards = dict(served), {name: one.card for name, one in served.items()}
        self._metrics.show_models({name: card.sha256 for name, card in self.cards.items()})

    def _find(self, name: str) -> FoundBundle:
        present = self._served.get(name)
        if present is None or (not present.folder.is_dir() and name != self.default):
            return find_new(name, self._settings.models)
        return find_again(name, present.folder, self._alias(name))

    def _find_listed(self, name: str, wanted: SharedModel) -> FoundBundle:
        bundle = find_again(name, Path(wanted.folder), self._alias(name))
        if bundle.card.digest != wanted.version:
            raise LoadError(f"the bundle {wanted.folder} has changed meanwhile; load it again")
        return bundle

    def _alias(self, name: str) -> str | None:
        return self._settings.model_name if name == self.default else None

    async def _attempt(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function on a thread; its exceptions are the reason why a model is not loaded."""
        self._loading = name
        try:
            return await asyncio.to_thread(function, *args, **kwargs)
        except NotFound:
            raise
        except Exception as error:
            is_known = isinstance(error, ServiceError)
            reason = str(error) if is_known else f"{type(error).__name__}: {error}"
            logger.error("%s cannot be loaded: %s", name, reason, exc_info=not is_known)
        finally:
            self._loading = None
        # not `from` the error: its traceback would keep what was loaded in memory
        self._failures[name] = reason
        self._metrics.model_loads.labels("failed").inc()
        raise LoadError(f"{reason}; everything is served as before")

    async def _run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Run an operation to its end, also where the client leaves."""
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    @property
    def is_ready(self) -> bool:
        """Whether models can be loaded beside those that are served."""
        return self._queue.state in _SERVING

    def _check_ready(self) -> None:
        if not self.is_ready:
            raise NotReady(
                "the models are being loaded; try again in a second", {"Retry-After": "1"}
            )

    def _status(self, name: str, reasons: Mapping[str, str]) -> ModelStatus:
        if name in self._served:
            sha256 = self.cards[name].sha256
            return ModelStatus(name, "ready", self._failures.get(name, ""), sha256)
        state = "loading" if name == self._loading else "unavailable"
        return ModelStatus(name, state, self._failures.get(name, reasons.get(name, "")), None)
