"""The device thread, and the way to it from an event loop. Needs no torch.

The contract, beside that of the `Batcher`:

- One thread owns the engine; nothing else touches it.
- A full queue refuses at once (`QueueFull`, with `Retry-After` from the measured rate).
- Whoever waits longer than the deadline, queued or running, gets `DeadlineExceeded`; a job that
  nobody waits for any more is skipped, or given up between two passes through the network.
- Every job that was accepted gets exactly one answer; what one job raises, no other sees.
- Closing refuses new jobs, finishes those that were accepted, and ends the thread.
- Should the thread die, all that wait are told so, and new jobs are refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, overload

from service.errors import (
    BundleError,
    DeadlineExceeded,
    InternalError,
    NotReady,
    QueueFull,
    ServiceError,
)
from service.runtime.batcher import Batcher, Full, Outcomes
from service.runtime.jobs import (
    ExplainJob,
    Explanation,
    Job,
    LayerInfo,
    Prediction,
    PredictJob,
    Result,
)

logger = logging.getLogger(__name__)


class State(Enum):
    """The life of the device thread."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"  # serves on for a while, but is not ready for more
    DRAINING = "draining"
    BROKEN = "broken"


Layers = Mapping[str, tuple[LayerInfo, ...]]


class JobRunner(Protocol):
    """What the device thread runs: engines."""

    device_name: str

    @property
    def layers(self) -> Layers:
        """The layers of each model, by its name."""

    def best_size(self, job: Job) -> int:
        """How many jobs like this one are best done at once."""

    def run(self, jobs: Sequence[Job], is_wanted: Callable[[], bool]) -> Outcomes[Result]:
        """Do jobs of one key; give them up where they are long and nobody waits for them.

        Each has a result or an error of its own. What is raised is about all of them.
        """


ResultT = TypeVar("ResultT", Prediction, Explanation)


@dataclass(frozen=True, eq=False)
class Done(Generic[ResultT]):
    """A job's result, how long it waited, how long its batch ran, and how many were in that."""

    result: ResultT
    queue_ms: float
    compute_ms: float
    batch_size: int


@dataclass(eq=False)
class _Item:
    job: Job
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    queued_at: float = field(default_factory=time.perf_counter)

    @property
    def key(self) -> Hashable:
        return self.job.key

    @property
    def kind(self) -> Hashable:
        return self.job.kind

    def is_wanted(self) -> bool:
        return not self.future.done()


class DeviceQueue:
    """Runs jobs on a thread of its own.

    Parameters
    ----------
    load : callable
        Makes the engine; called on the device thread.
    size : int
        Jobs that may wait.
    deadline_s : float
        Seconds that a caller waits at most.
    on_loaded : callable, optional
        Called on the device thread when loading has ended, well or not.
    """

    def __init__(
        self,
        load: Callable[[], JobRunner],
        size: int,
        deadline_s: float,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._load, self._deadline_s, self._on_loaded = load, deadline_s, on_loaded
        self._engine: JobRunner | None = None
        self._batcher: Batcher[_Item, Result] = Batcher(size, self._best_size)
        self._lock = threading.RLock()  # of the state; a signal may come while it is held
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._mean_compute_s = 0.01  # replaced by what is measured
        self._busy_since = math.inf  # when the batch began that is being done
        self.state = State.STARTING
        self.failure: ServiceError | None = None
        self.device_name = "no device"
        self.layers: Layers = {}  # of each model, by its name; known when it is ready

    def start(self) -> None:
        """Start the thread, which loads the engine first."""
        self._thread.start()

    def leave(self) -> None:
        """Be not ready any more, but serve on."""
        with self._lock:
            if self.state in (State.STARTING, State.READY):
                is_serving = self.state is State.READY
                self.state = State.LEAVING if is_serving else State.DRAINING

    def is_stalled(self, stall_s: float) -> bool:
        """Whether nothing has come of a batch for `stall_s` seconds, whoever still waits for it."""
        return time.monotonic() - self._busy_since > stall_s

    def close(self, timeout_s: float = 60.0) -> None:
        """Finish what was accepted, then end the thread."""
        with self._lock:
            if self.state is not State.BROKEN:
                self.state = State.DRAINING
        self._batcher.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @overload
    async def submit(self, job: PredictJob) -> Done[Prediction]: ...

    @overload
    async def submit(self, job: ExplainJob) -> Done[Explanation]: ...

    async def submit(self, job: Job) -> Any:
        """Queue a job and wait for its result.

        Raises
        ------
        NotReady
            Starting, draining or broken.
        QueueFull
            Too many jobs wait already.
        DeadlineExceeded
            No result came in time.
        ServiceError
            Whatever of ours the job itself raised; anything else becomes `InternalError`.
        """
        loop = asyncio.get_running_loop()
        item = _Item(job, loop.create_future(), loop)
        self._put(item)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await item.future
        except TimeoutError:
            raise DeadlineExceeded(
                f"there was no result within {self._deadline_s:g} s; try again later"
            ) from None

    def _put(self, item: _Item) -> None:
        with self._lock:  # what comes in while it is ready is answered, also when it closes
            if self.state not in (State.READY, State.LEAVING):
                raise NotReady(_NOT_READY[self.state], headers={"Retry-After": "1"})
            try:
                self._batcher.put(item)
            except Full:
                raise self._full() from None

    def _full(self) -> QueueFull:
        n_waiting = len(self._batcher)
        wait_s = max(1, math.ceil(n_waiting * self._mean_compute_s))
        return QueueFull(
            f"{n_waiting} requests are waiting already; try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    def _best_size(self, item: _Item) -> int:
        return self._engine.best_size(item.job) if self._engine else 1

    def _work(self) -> None:
        try:
            engine = self._load()
        except Exception as error:  # noqa: BLE001  whatever it is, the service says that it is broken
            self._fail(error)
            return
        self._engine = engine
        self.device_name, self.layers = engine.device_name, engine.layers
        with self._lock:
            if self.state is State.STARTING:
                self.state = State.READY
        self._tell()
        items: Sequence[_Item] = ()
        try:
            while items := self._batcher.take():
                self._run(engine, items)
        except BaseException as error:  # noqa: BLE001  what no job may raise, such as SystemExit
            self._die(items, error)

    def _run(self, engine: JobRunner, items: Sequence[_Item]) -> None:
        def run(part: Sequence[_Item]) -> Outcomes[Result]:
            return engine.run([item.job for item in part], lambda: _is_any_wanted(part))

        started_at = time.perf_counter()
        self._busy_since = time.monotonic()
        for part, outcomes in self._batcher.settle(items, run):
            compute_s = time.perf_counter() - started_at
            self._mean_compute_s += 0.1 * (compute_s / len(part) - self._mean_compute_s)
            for item, outcome in zip(part, outcomes, strict=True):
                _answer(item, _done(item, outcome, started_at, compute_s, len(part)))
            started_at = time.perf_counter()
            self._busy_since = time.monotonic()
        self._busy_since = math.inf

    def _die(self, items: Sequence[_Item], error: BaseException) -> None:
        logger.critical("the device thread has died", exc_info=error)
        with self._lock:
            self.state = State.BROKEN
        self._batcher.close()
        answer = InternalError("the service is broken and has to be restarted; its log has why")
        while items:
            for item in items:
                _answer(item, answer)
            items = self._batcher.take()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, ServiceError):
            self.failure = error
        else:
            logger.error("the model cannot be loaded", exc_info=error)
            self.failure = BundleError(f"the model cannot be loaded: {error}")
        self.state = State.BROKEN
        self._tell()

    def _tell(self) -> None:
        try:
            self._on_loaded()
        except Exception:  # of whoever wants to know; the device serves without it
            logger.exception("the news that loading has ended could not be told")


_NOT_READY = {
    State.STARTING: "the service is starting: its model is being loaded; try again in a second",
    State.DRAINING: "the service is shutting down; send the request to another one",
    State.BROKEN: "the service could not load its model, or its device failed; its log says why",
}


def _is_any_wanted(items: Sequence[_Item]) -> bool:
    return any(item.is_wanted() for item in items)


def _done(
    item: _Item, outcome: Result | Exception, started_at: float, compute_s: float, batch_size: int
) -> Done[Any] | ServiceError:
    if isinstance(outcome, ServiceError):
        return outcome
    if isinstance(outcome, Exception):  # of one job; the thread lives on for the others
        logger.error("a job failed", exc_info=outcome)
        return InternalError("the request failed inside the service; the log has why")
    queue_ms = (started_at - item.queued_at) * 1e3
    return Done(outcome, queue_ms, compute_s * 1e3, batch_size)


def _answer(item: _Item, answer: Done[Any] | ServiceError) -> None:
    def deliver() -> None:
        if item.future.done():  # its caller has left, or was told that the deadline has passed
            return
        if isinstance(answer, Done):
            item.future.set_result(answer)
        else:
            item.future.set_exception(answer)

    try:
        item.loop.call_soon_threadsafe(deliver)
    except RuntimeError:  # the loop is closed: nobody waits for any answer
        logger.debug("an answer came after the end of the event loop")
