"""The thread of a device: it owns the engines, and runs batches on them. Needs no torch."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from service.errors import InternalError, ServiceError
from service.lrp.passes import Pause
from service.lrp.tracing import TRACING
from service.metrics import Metrics
from service.runtime.batcher import Batcher, Outcomes
from service.runtime.jobs import Result
from service.runtime.loaded_models import Engines, JobRunner
from service.runtime.queued_job import Done, Outcome, QueuedJob, resolve_all
from service.runtime.schedule import Schedule, Steps, Work

logger = logging.getLogger(__name__)

_MEMORY_INTERVAL_S = 1.0  # between two measurements: one takes longer than to count a batch
CHECK_INTERVAL_S = 1.0
MAX_CHECKS = 5  # that fail in a row, until the device is broken


class DeviceFailure(Exception):
    """A device has failed at its warm-up image several times in a row."""


JobBatcher = Batcher[QueuedJob, Result]
JobWork = Work[QueuedJob, Result]


class DeviceThread:
    """Loads the engines of a device, then runs batches on them.

    Parameters
    ----------
    index : int
        Of the device.
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
        index: int,
        load: Callable[[], Engines],
        batcher: JobBatcher,
        on_loaded: Callable[[Exception | None], None],
        on_died: Callable[[Sequence[QueuedJob], BaseException], None],
        metrics: Metrics,
    ) -> None:
        self._index, self._load = index, load
        self._batcher, self._metrics = batcher, metrics
        self._on_loaded, self._on_died = on_loaded, on_died
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._schedule = Schedule(batcher, self._begin)
        self._busy_since = math.inf  # start of the current slice
        self.is_failing = False
        self.engines: Engines = {}  # from when they are loaded until all devices have theirs
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
        jobs: Sequence[QueuedJob] = ()
        try:
            self._measure_memory(next(iter(self.engines.values())))  # all are on the same device
            self._on_loaded(None)
            while work := self._schedule.next_work():
                jobs = work.items
                with TRACING.computing():
                    self._run_slice(work)
                jobs, work = (), None  # a replaced model is freed with its last job
        except BaseException as error:  # noqa: BLE001  such as SystemExit
            others = [queued for queued in self._schedule.items if queued not in jobs]
            self._on_died([*jobs, *others], error)

    def _begin(self, jobs: Sequence[QueuedJob]) -> Steps[QueuedJob, Result]:
        engine = self._engine_of(jobs[0])
        return self._batcher.run_with_bisection(
            jobs, lambda part: engine.run_in_passes([queued.job for queued in part])
        )

    def _engine_of(self, queued: QueuedJob) -> JobRunner:
        return queued.model.engines[self._index]

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
            self._measure_memory(self._engine_of(work.items[0]))
        if pause is None and not work.has_worked:
            self._check_device(self._engine_of(work.items[0]))

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

    def _check_device(self, engine: JobRunner) -> None:
        """Compute the warm-up image until the device works again.

        Raises
        ------
        DeviceFailure
            It failed `MAX_CHECKS` times in a row.
        """
        cause: Exception | None = None
        for _ in range(MAX_CHECKS):
            try:
                engine.check_device()
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

    def _measure_memory(self, engine: JobRunner) -> None:
        self._memory_measured_at = time.perf_counter()
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
