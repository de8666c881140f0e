"""The thread of a device: it owns the engines, and runs batches on them. Needs no torch."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from service.errors import InternalError, ServiceError
from service.methods import Start
from service.metrics import Metrics
from service.runtime.batcher import Batcher, Outcomes
from service.runtime.jobs import Explanation, Job, LayerInfo, Prediction, Result

logger = logging.getLogger(__name__)

_MEMORY_INTERVAL_S = 1.0  # between two measurements: one takes longer than to count a batch


class JobRunner(Protocol):
    """The engine of one model."""

    device_name: str
    layers: tuple[LayerInfo, ...]
    default_starts: Mapping[str, Start]  # by composite

    def best_batch_size(self, job: Job) -> int:
        """The largest batch size that jobs like this one gain from."""

    def memory_bytes(self) -> int:
        """Memory in use on its device; on a CPU, by the process."""

    def run(self, jobs: Sequence[Job], is_cancelled: Callable[[], bool]) -> Outcomes[Result]:
        """Run a batch of one key; a long one ends early when it is cancelled.

        Each job has a result or an error of its own. What is raised concerns all of them.
        """


Engines = Mapping[str, JobRunner]  # of one device, by the models' names
ResultT = TypeVar("ResultT", Prediction, Explanation)


@dataclass(frozen=True, eq=False)
class Done(Generic[ResultT]):
    """The result of a job, its time in the queue, and the time and size of its batch."""

    result: ResultT
    queue_ms: float
    compute_ms: float
    batch_size: int


Outcome = Done[Any] | ServiceError


@dataclass(eq=False)
class QueuedJob:
    """A job in the queue, with the future of its caller and the event loop of that."""

    job: Job
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    queued_at: float = field(default_factory=time.perf_counter)

    @property
    def key(self) -> Hashable:
        """The batch key of the job."""
        return self.job.key

    @property
    def memory_class(self) -> Hashable:
        """The memory class of the job."""
        return self.job.memory_class

    def is_cancelled(self) -> bool:
        """Whether its caller has left, or has been told that the deadline has passed."""
        return self.future.done()

    def resolve(self, outcome: Outcome) -> None:
        """Set the result or the exception of the future; called on its event loop."""
        if self.is_cancelled():
            return
        if isinstance(outcome, Done):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)


def resolve_all(jobs: Sequence[QueuedJob], outcomes: Sequence[Outcome]) -> None:
    """Resolve jobs, from any thread; each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[QueuedJob, Outcome]]] = {}
    for queued, outcome in zip(jobs, outcomes, strict=True):
        by_loop.setdefault(queued.loop, []).append((queued, outcome))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_pairs, pairs)
        except RuntimeError:  # the loop is closed: nobody waits for the results
            logger.debug("results came after the end of the event loop")


def _resolve_pairs(pairs: Sequence[tuple[QueuedJob, Outcome]]) -> None:
    for queued, outcome in pairs:
        queued.resolve(outcome)


JobBatcher = Batcher[QueuedJob, Result]


class DeviceThread:
    """Loads the engines of a device, then runs batches on them.

    Parameters
    ----------
    load : callable
        Makes the engines; called on the thread.
    batcher : JobBatcher
        Where jobs wait; threads may share it.
    on_loaded : callable
        Called on the thread after loading, with the exception if it failed.
    on_died : callable
        Called on the thread when it dies of an exception that no job may raise, with its batch.
    metrics : Metrics
        Counts batches.
    """

    def __init__(
        self,
        load: Callable[[], Engines],
        batcher: JobBatcher,
        on_loaded: Callable[[Exception | None], None],
        on_died: Callable[[Sequence[QueuedJob], BaseException], None],
        metrics: Metrics,
    ) -> None:
        self._load, self._batcher, self._metrics = load, batcher, metrics
        self._on_loaded, self._on_died = on_loaded, on_died
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._busy_since = math.inf  # start of the current batch
        self.engines: Engines = {}  # until they are loaded
        self.mean_job_s = 0.01  # a moving average; this is its start
        self._memory_measured_at = 0.0

    def start(self) -> None:
        """Start the thread, which loads the engines first."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def is_stalled(self, stall_s: float) -> bool:
        """Whether the current batch has run longer than `stall_s`, even if it is cancelled."""
        return time.monotonic() - self._busy_since > stall_s

    def _work(self) -> None:
        try:
            self.engines = self._load()
        except Exception as error:  # noqa: BLE001  any of them breaks the service
            self._on_loaded(error)
            return
        self._on_loaded(None)
        jobs: Sequence[QueuedJob] = ()
        try:
            self._measure_memory()
            while jobs := self._batcher.next_batch():
                self._run(jobs)
        except BaseException as error:  # noqa: BLE001  such as SystemExit
            self._on_died(jobs, error)

    def _run(self, jobs: Sequence[QueuedJob]) -> None:
        def run(part: Sequence[QueuedJob]) -> Outcomes[Result]:
            return engine.run([queued.job for queued in part], lambda: _are_all_cancelled(part))

        engine = self.engines[jobs[0].job.model]
        started_at = time.perf_counter()
        self._busy_since = time.monotonic()
        for part, outcomes in self._batcher.run_with_bisection(jobs, run):
            compute_s = time.perf_counter() - started_at
            self.mean_job_s += 0.1 * (compute_s / len(part) - self.mean_job_s)
            self._metrics.batch_size.observe(len(part))
            pairs = zip(part, outcomes, strict=True)
            n = len(part)
            resolve_all(part, [_done(*pair, started_at, compute_s, n) for pair in pairs])
            started_at = time.perf_counter()
            self._busy_since = time.monotonic()
        self._busy_since = math.inf
        self._metrics.queue_depth.set(len(self._batcher))
        if started_at - self._memory_measured_at > _MEMORY_INTERVAL_S:
            self._measure_memory()

    def _measure_memory(self) -> None:
        self._memory_measured_at = time.perf_counter()
        engine = next(iter(self.engines.values()))  # all are on the same device
        self._metrics.device_memory.labels(engine.device_name).set(engine.memory_bytes())


def _are_all_cancelled(jobs: Sequence[QueuedJob]) -> bool:
    return all(queued.is_cancelled() for queued in jobs)


def _done(
    queued: QueuedJob,
    outcome: Result | Exception,
    started_at: float,
    compute_s: float,
    batch_size: int,
) -> Outcome:
    if isinstance(outcome, ServiceError):
        return outcome
    if isinstance(outcome, Exception):  # of one job; the thread lives on for the others
        logger.error("a job failed", exc_info=outcome)
        return InternalError("the request failed inside the service; the log has why")
    queue_ms = (started_at - queued.queued_at) * 1e3
    return Done(outcome, queue_ms, compute_s * 1e3, batch_size)
