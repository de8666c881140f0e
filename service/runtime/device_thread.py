"""The thread that owns an engine, and answers what it takes from the batcher. Needs no torch."""

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
from service.metrics import Metrics
from service.runtime.batcher import Batcher, Outcomes
from service.runtime.jobs import Explanation, Job, LayerInfo, Prediction, Result

logger = logging.getLogger(__name__)

_MEMORY_SETTLED_S = 1.0  # to ask for it takes longer than to count


class JobRunner(Protocol):
    """The engine of one model."""

    device_name: str
    layers: tuple[LayerInfo, ...]

    def best_batch_size(self, job: Job) -> int:
        """The number of jobs like this one that a batch should have at most."""

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
    """A job's result, how long it waited, how long its batch ran, and how many were in that."""

    result: ResultT
    queue_ms: float
    compute_ms: float
    batch_size: int


Answer = Done[Any] | ServiceError


@dataclass(eq=False)
class QueuedJob:
    """A job that waits, and the future that gets its answer on the event loop it came from."""

    job: Job
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    queued_at: float = field(default_factory=time.perf_counter)

    @property
    def key(self) -> Hashable:
        """As the job's."""
        return self.job.key

    @property
    def memory_class(self) -> Hashable:
        """As the job's."""
        return self.job.memory_class

    def is_cancelled(self) -> bool:
        """Whether its caller has left, or has been told that the deadline has passed."""
        return self.future.done()

    def answer(self, answer: Answer) -> None:
        """Give its caller the answer; on its event loop."""
        if self.future.done():  # its caller has left, or was told that the deadline has passed
            return
        if isinstance(answer, Done):
            self.future.set_result(answer)
        else:
            self.future.set_exception(answer)


def answer_all(jobs: Sequence[QueuedJob], answers: Sequence[Answer]) -> None:
    """Give callers their answers, from any thread; each event loop is woken once."""
    of_loop: dict[asyncio.AbstractEventLoop, list[tuple[QueuedJob, Answer]]] = {}
    for queued, answer in zip(jobs, answers, strict=True):
        of_loop.setdefault(queued.loop, []).append((queued, answer))
    for loop, pairs in of_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver, pairs)
        except RuntimeError:  # the loop is closed: nobody waits for any answer
            logger.debug("answers came after the end of the event loop")


def _deliver(pairs: Sequence[tuple[QueuedJob, Answer]]) -> None:
    for queued, answer in pairs:
        queued.answer(answer)


JobBatcher = Batcher[QueuedJob, Result]


class DeviceThread:
    """Loads an engine, then runs what waits with it.

    Parameters
    ----------
    load : callable
        Makes the engine; called on the thread.
    batcher : JobBatcher
        Where jobs wait; several threads may take from it.
    on_loaded : callable
        Called on the thread when loading has ended, with what was raised, if anything was.
    on_died : callable
        Called on the thread when it has died of what no job may raise, with the jobs it had.
    metrics : Metrics
        Where batches are counted.
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
        self._busy_since = math.inf  # when the batch began that is being done
        self.engines: Engines = {}  # until they are loaded
        self.mean_job_s = 0.01  # replaced by what is measured
        self._memory_measured_at = 0.0

    def start(self) -> None:
        """Start the thread, which loads the engine first."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def is_stalled(self, stall_s: float) -> bool:
        """Whether nothing has come of a batch for `stall_s` seconds, whoever still waits for it."""
        return time.monotonic() - self._busy_since > stall_s

    def _work(self) -> None:
        try:
            self.engines = self._load()
        except Exception as error:  # noqa: BLE001  whatever it is, the service says that it is broken
            self._on_loaded(error)
            return
        self._on_loaded(None)
        jobs: Sequence[QueuedJob] = ()
        try:
            self._measure_memory()
            while jobs := self._batcher.next_batch():
                self._run(jobs)
        except BaseException as error:  # noqa: BLE001  what no job may raise, such as SystemExit
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
            answer_all(part, [_done(*pair, started_at, compute_s, n) for pair in pairs])
            started_at = time.perf_counter()
            self._busy_since = time.monotonic()
        self._busy_since = math.inf
        self._metrics.queue_depth.set(len(self._batcher))
        if started_at - self._memory_measured_at > _MEMORY_SETTLED_S:
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
) -> Answer:
    if isinstance(outcome, ServiceError):
        return outcome
    if isinstance(outcome, Exception):  # of one job; the thread lives on for the others
        logger.error("a job failed", exc_info=outcome)
        return InternalError("the request failed inside the service; the log has why")
    queue_ms = (started_at - queued.queued_at) * 1e3
    return Done(outcome, queue_ms, compute_s * 1e3, batch_size)
