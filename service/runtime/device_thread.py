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
from service.lrp.passes import Passes, Pause
from service.methods import Start
from service.metrics import Metrics
from service.runtime.batcher import Batcher, Outcomes
from service.runtime.jobs import Explanation, Job, LayerInfo, Prediction, Result
from service.runtime.schedule import Schedule, Steps, Work

logger = logging.getLogger(__name__)

_MEMORY_INTERVAL_S = 1.0  # between two measurements: one takes longer than to count a batch
CHECK_INTERVAL_S = 1.0
MAX_CHECKS = 5  # that fail in a row, until the device is broken


class JobRunner(Protocol):
    """The engine of one model."""

    device_name: str
    layers: tuple[LayerInfo, ...]
    default_starts: Mapping[str, Start]  # by composite

    def best_batch_size(self, job: Job) -> int:
        """The largest batch size that jobs like this one gain from."""

    def memory_bytes(self) -> int:
        """Memory in use on its device; on a CPU, by the process."""

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        """Run a batch of one key, with pauses between its passes.

        Each job has a result or an error of its own. What is raised concerns all of them.
        """

    def check_device(self) -> None:
        """Compute the warm-up image; any exception means that the device fails."""


class DeviceFailure(Exception):
    """A device has failed at its warm-up image several times in a row."""


Engines = Mapping[str, JobRunner]  # of one device, by the models' names
ResultT = TypeVar("ResultT", Prediction, Explanation)


@dataclass(frozen=True, eq=False)
class Done(Generic[ResultT]):
    """The result of a job, its time without the device, and the time and size of its batch."""

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
    client: str = ""
    queued_at: float = field(default_factory=time.perf_counter)
    n_passes: int = field(init=False)

    def __post_init__(self) -> None:
        self.n_passes = self.job.n_passes

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
JobWork = Work[QueuedJob, Result]


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
        self._schedule = Schedule(batcher, self._begin)
        self._busy_since = math.inf  # start of the current slice
        self.is_failing = False
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
        """Whether the current slice has run longer than `stall_s`, even if it is cancelled."""
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
            while work := self._schedule.next_work():
                jobs = work.items
                self._run_slice(work)
                jobs = ()
        except BaseException as error:  # noqa: BLE001  such as SystemExit
            others = [queued for queued in self._schedule.items if queued not in jobs]
            self._on_died([*jobs, *others], error)

    def _begin(self, jobs: Sequence[QueuedJob]) -> Steps[QueuedJob, Result]:
        engine = self.engines[jobs[0].job.model]
        return self._batcher.run_with_bisection(
            jobs, lambda part: engine.run_in_passes([queued.job for queued in part])
        )

    def _run_slice(self, work: JobWork) -> None:
        """Compute until the next pause or the end of a work."""
        pause: Pause | None = None
        started_at = sliced_at = time.perf_counter()
        self._busy_since = time.monotonic()
        for step in work.steps:
            now = time.perf_counter()
            work.compute_s += now - started_at
            started_at, self._busy_since = now, time.monotonic()
            if isinstance(step, Pause):
                pause = step
                break
            self._resolve(work, *step)
        self._busy_since = math.inf
        self._schedule.record(work, time.perf_counter() - sliced_at, pause)
        self._metrics.queue_depth.set(len(self._batcher))
        if started_at - self._memory_measured_at > _MEMORY_INTERVAL_S:
            self._measure_memory()
        if pause is None and not work.has_worked:
            self._check_device(work.items[0].job.model)

    def _resolve(
        self, work: JobWork, part: Sequence[QueuedJob], outcomes: Outcomes[Result]
    ) -> None:
        n, compute_s, work.compute_s = len(part), work.compute_s, 0.0
        self.mean_job_s += 0.1 * (compute_s / n - self.mean_job_s)
        self._metrics.batch_size.observe(n)
        pairs = zip(part, outcomes, strict=True)
        done = [_done(*pair, compute_s, n) for pair in pairs]
        work.has_worked |= not all(isinstance(outcome, InternalError) for outcome in done)
        resolve_all(part, done)

    def _check_device(self, model: str) -> None:
        """Compute the warm-up image until the device works again.

        Raises
        ------
        DeviceFailure
            It failed `MAX_CHECKS` times in a row.
        """
        cause: Exception | None = None
        for _ in range(MAX_CHECKS):
            try:
                self.engines[model].check_device()
            except Exception as error:
                self.is_failing = True
                logger.exception("the device fails at its warm-up image")
                cause = error
                time.sleep(CHECK_INTERVAL_S)
                continue
            if self.is_failing:
                logger.warning("the device works again")
            self.is_failing = False
            return
        raise DeviceFailure(f"it failed at its warm-up image {MAX_CHECKS} times") from cause

    def _measure_memory(self) -> None:
        self._memory_measured_at = time.perf_counter()
        engine = next(iter(self.engines.values()))  # all are on the same device
        self._metrics.device_memory.labels(engine.device_name).set(engine.memory_bytes())


def _done(
    queued: QueuedJob,
    outcome: Result | Exception,
    compute_s: float,
    batch_size: int,
) -> Outcome:
    if isinstance(outcome, ServiceError):
        return outcome
    if isinstance(outcome, Exception):  # of one job; the thread lives on for the others
        logger.error("a job failed", exc_info=outcome)
        return InternalError("the request failed inside the service; the log has why")
    queue_s = time.perf_counter() - queued.queued_at - compute_s
    return Done(outcome, max(0.0, queue_s) * 1e3, compute_s * 1e3, batch_size)
