"""The job queue between the event loop and the device threads. Needs no torch.

The contract, beside that of the `Batcher`:

- One thread for each device owns its engines; nothing else touches them.
- A full queue refuses a job at once (`QueueFull`, with `Retry-After` from the measured rate); a job
  of a client that has fewer jobs in it displaces one of the client with the most.
- A device at which every job of a batch failed unforeseen is checked with the warm-up image. While
  that fails the service is not ready; several times in a row, and the service is broken.
- A job that waits or runs past its deadline fails with `DeadlineExceeded`; a cancelled job is
  skipped, or ends between two passes through the network.
- Every accepted job gets one result or one error; an error of one job does not reach another.
- Closing refuses new jobs, finishes the accepted ones, and ends the threads.
- When a thread dies, all waiting jobs fail, and new ones are refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from service.errors import (
    Broken,
    BundleError,
    InternalError,
    NotReady,
    QueueFull,
    ServiceError,
)
from service.methods import Start
from service.metrics import Metrics
from service.runtime.batcher import Batcher, Full
from service.runtime.deadline import Deadline
from service.runtime.device_thread import DeviceThread, JobBatcher
from service.runtime.jobs import (
    ExplainJob,
    Explanation,
    Job,
    LayerInfo,
    Prediction,
    PredictJob,
)
from service.runtime.loaded_models import Engines, LoadedModel, LoadedModels
from service.runtime.queued_job import Done, QueuedJob, resolve_all
from service.worker_state import State

logger = logging.getLogger(__name__)


class DeviceQueue:
    """Queues jobs for the threads of the devices.

    Parameters
    ----------
    loads : sequence of callable
        One for each device: makes its engines, on its thread.
    size : int
        Jobs that may wait.
    on_loaded : callable, optional
        Called on a device thread after loading, also if it failed.
    metrics : Metrics, optional
        Counts jobs and batches.
    versions : mapping of str to str, optional
        Digests of the cards of the models that are loaded, by name.
    """

    def __init__(
        self,
        loads: Sequence[Callable[[], Engines]],
        size: int,
        on_loaded: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self._on_loaded = on_loaded
        self._metrics = metrics or Metrics()
        self._batcher: JobBatcher = Batcher(size, self._best_batch_size)
        # of the state; reentrant, as a signal handler may interrupt its holder
        self._lock = threading.RLock()
        self._threads = [
            DeviceThread(index, load, self._batcher, self._loaded, self._died, self._metrics)
            for index, load in enumerate(loads)
        ]
        self._n_loading = len(self._threads)
        self.state = State.STARTING
        self.failure: ServiceError | None = None
        self.device_name = "no device"
        self._models, self._versions = LoadedModels(), versions or {}
        # of each model, by its name; known when it is ready
        self.layers: Mapping[str, tuple[LayerInfo, ...]] = {}
        self.default_starts: Mapping[str, Mapping[str, Start]] = {}  # and composite

    def start(self) -> None:
        """Start the threads, which load the engines first."""
        for thread in self._threads:
            thread.start()

    @property
    def models(self) -> Mapping[str, LoadedModel]:
        """The models that are served, by name; empty until it is ready."""
        return self._models.current

    def serve(self, models: Mapping[str, LoadedModel]) -> None:
        """Serve these models from the next job on; those in the queue run on what they have."""
        self._models.serve(models)
        engines = self._models.engines()
        self.layers = {name: engine.layers for name, engine in engines.items()}
        self.default_starts = {name: engine.default_starts for name, engine in engines.items()}

    def begin_grace(self) -> None:
        """Stop being ready, but accept jobs until `close`; while starting, drain."""
        with self._lock:
            if self.state in (State.STARTING, State.READY):
                is_serving = self.state is State.READY
                self.state = State.GRACE if is_serving else State.DRAINING

    def health(self, stall_s: float) -> State:
        """The state; stalled where the current slice of a device has run longer than `stall_s`."""
        if self.state is State.BROKEN:
            return self.state
        if any(thread.is_stalled(stall_s) for thread in self._threads):
            return State.STALLED
        is_failing = any(thread.is_failing for thread in self._threads)
        return State.FAILING if is_failing else self.state

    def close(self, timeout_s: float = 60.0) -> None:
        """Finish the accepted jobs, then end the threads."""
        with self._lock:
            if self.state is not State.BROKEN:
                self.state = State.DRAINING
        self._batcher.close()
        ends_at = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))

    def check_capacity(self, client: str = "") -> None:
        """Refuse a request early, before its body is read, where its job would be refused.

        Parameters
        ----------
        client : str
            Who sends it.

        Raises
        ------
        QueueFull
            Too many jobs are waiting.
        """
        if self._batcher.is_full(client):
            self._metrics.jobs.labels("rejected").inc()
            raise self._full()

    @overload
    async def submit(
        self, job: PredictJob, deadline: Deadline, client: str = ""
    ) -> Done[Prediction]: ...

    @overload
    async def submit(
        self, job: ExplainJob, deadline: Deadline, client: str = ""
    ) -> Done[Explanation]: ...

    async def submit(self, job: Job, deadline: Deadline, client: str = "") -> Any:
        """Queue a job and wait for its result.

        Parameters
        ----------
        job : Job
            What to compute.
        deadline : Deadline
            Of its request.
        client : str
            Who sends it; clients take turns.

        Raises
        ------
        NotReady
            Starting or draining.
        Broken
            The service has to be restarted.
        QueueFull
            Too many jobs are waiting.
        DeadlineExceeded
            There was no result at the deadline.
        ServiceError
            An error of the job itself; other exceptions become `InternalError`.
        """
        loop = asyncio.get_running_loop()
        with self._metrics.outcome_of_job():
            self._check_state()
            model = self._models.of(job)
            queued = QueuedJob(job, model, loop.create_future(), loop, client)
            self._put(queued)
            try:
                async with deadline.enforce():
                    return await queued.future
            finally:
                if queued.future.cancelled():  # it may still be queued
                    self._batcher.discard(queued)
                    self._metrics.queue_depth.set(len(self._batcher))

    def _put(self, queued: QueuedJob) -> None:
        with self._lock:  # a job that is accepted before the queue closes is finished
            self._check_state()
            try:
                displaced = self._batcher.put(queued)
            except Full:
                raise self._full() from None
        if displaced is not None:
            resolve_all([displaced], [self._full()])
        self._metrics.queue_depth.set(len(self._batcher))

    def _check_state(self) -> None:
        if self.state is State.BROKEN:
            raise Broken(_BROKEN)
        if self.state not in (State.READY, State.GRACE):
            raise NotReady(_NOT_READY[self.state], headers={"Retry-After": "1"})
        if all(thread.is_failing for thread in self._threads):
            raise NotReady(_FAILING, headers={"Retry-After": "1"})

    def _full(self) -> QueueFull:
        n_waiting = len(self._batcher)
        jobs_per_s = sum(1 / thread.mean_job_s for thread in self._threads)
        wait_s = max(1, math.ceil(n_waiting / jobs_per_s))
        return QueueFull(
            f"{n_waiting} requests are waiting already; try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    def _best_batch_size(self, queued: QueuedJob) -> int:
        return queued.model.engines[0].best_batch_size(queued.job)  # all devices are of its kind

    def _loaded(self, error: Exception | None) -> None:
        with self._lock:
            self._n_loading -= 1
            if self.state is State.BROKEN:  # another device could not be loaded
                return
            if error is not None:
                self._fail(error)
            elif self._n_loading == 0:
                self._open()
            else:
                return
        try:
            self._on_loaded()
        except Exception:  # the device serves nevertheless
            logger.exception("the callback after loading failed")

    def _open(self) -> None:
        devices = [thread.engines for thread in self._threads]
        names = [next(iter(engines.values())).device_name for engines in devices]
        self.device_name = ", ".join(names)
        by_name = {name: [engines[name] for engines in devices] for name in devices[0]}
        versions = self._versions
        self.serve({name: LoadedModel(versions.get(name, ""), by_name[name]) for name in by_name})
        for thread in self._threads:
            thread.engines = {}  # so that models that are replaced are freed
        if self.state is State.STARTING:
            self.state = State.READY

    def _fail(self, error: Exception) -> None:
        self.state = State.BROKEN
        if isinstance(error, ServiceError):
            self.failure = error
            return
        reason = str(error) or type(error).__name__
        is_refused = isinstance(error, _REFUSALS)
        if is_refused:
            reason += "; the limits of memory and files (`ulimit -a`) may be too low"
        level = logging.DEBUG if is_refused else logging.ERROR
        logger.log(level, "the model cannot be loaded", exc_info=error)
        self.failure = BundleError(f"the model cannot be loaded: {reason}")

    def _died(self, jobs: Sequence[QueuedJob], error: BaseException) -> None:
        logger.critical("a device thread has died", exc_info=error)
        with self._lock:
            self.state = State.BROKEN
        self._batcher.close()
        broken = InternalError("the service is broken and has to be restarted; its log has why")
        while jobs:
            resolve_all(jobs, [broken] * len(jobs))
            jobs = self._batcher.next_short() or self._batcher.next_long()


_REFUSALS = (OSError, MemoryError, ImportError)  # what the system refuses to a process that loads
_NOT_READY = {
    State.STARTING: "the service is starting: its model is being loaded; try again in a second",
    State.DRAINING: "the service is shutting down; send the request to another one",
}
_FAILING = "the device of the service fails and is being checked; try again in a second"
_BROKEN = (
    "the service could not load its model, or its device failed: it has to be restarted; "
    "its log has why"
)
