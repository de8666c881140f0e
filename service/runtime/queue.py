"""The device thread and the bounded queue in front of it. Needs no torch.

The contract:

- One thread owns the engine; nothing else touches it.
- Jobs are done one at a time, in the order in which they came.
- A full queue refuses at once (`QueueFull`, with `Retry-After` from the measured rate).
- Whoever waits longer than the deadline, queued or running, gets `DeadlineExceeded`; a job that
  nobody waits for any more is skipped, or given up between two passes through the network.
- Every job that was accepted gets exactly one answer; what one job raises, no other sees.
- Closing refuses new jobs, finishes those that were accepted, and ends the thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
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
    DRAINING = "draining"
    BROKEN = "broken"


Layers = Mapping[str, tuple[LayerInfo, ...]]


class JobRunner(Protocol):
    """What the device thread runs: engines."""

    device_name: str

    @property
    def layers(self) -> Layers:
        """The layers of each model, by its name."""

    def run(self, job: Job, is_wanted: Callable[[], bool]) -> Result:
        """Do one job; give it up (`DeadlineExceeded`) where it is long and nobody waits for it."""


ResultT = TypeVar("ResultT", Prediction, Explanation)


@dataclass(frozen=True, eq=False)
class Done(Generic[ResultT]):
    """A job's result, how long it waited, and how long it ran."""

    result: ResultT
    queue_ms: float
    compute_ms: float


@dataclass(eq=False)
class _Item:
    job: Job
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    queued_at: float = field(default_factory=time.perf_counter)


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
        self._load, self._size, self._deadline_s = load, size, deadline_s
        self._on_loaded = on_loaded
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._mean_compute_s = 0.01  # replaced by what is measured
        self.state = State.STARTING
        self.failure: ServiceError | None = None
        self.device_name = "no device"
        self.layers: Layers = {}  # of each model, by its name; known when it is ready

    def start(self) -> None:
        """Start the thread, which loads the engine first."""
        self._thread.start()

    def close(self, timeout_s: float = 60.0) -> None:
        """Finish what was accepted, then end the thread."""
        with self._changed:
            if self.state is not State.BROKEN:
                self.state = State.DRAINING
            self._changed.notify()
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
        with self._changed:
            if self.state is not State.READY:
                raise NotReady(_NOT_READY[self.state], headers={"Retry-After": "1"})
            if len(self._items) >= self._size:
                self._drop_abandoned()
            if len(self._items) >= self._size:
                wait_s = max(1, math.ceil(len(self._items) * self._mean_compute_s))
                raise QueueFull(
                    f"{len(self._items)} requests are waiting already; try again in {wait_s} s",
                    headers={"Retry-After": str(wait_s)},
                )
            self._items.append(item)
            self._changed.notify()

    def _drop_abandoned(self) -> None:
        self._items = deque(item for item in self._items if not item.future.done())

    def _work(self) -> None:
        try:
            engine = self._load()
        except Exception as error:  # noqa: BLE001  whatever it is, the service says that it is broken
            self._fail(error)
            return
        self.device_name, self.layers = engine.device_name, engine.layers
        with self._changed:
            if self.state is State.STARTING:
                self.state = State.READY
        self._tell()
        while (item := self._next()) is not None:
            self._run(engine, item)

    def _next(self) -> _Item | None:
        with self._changed:
            while True:
                while self._items:
                    item = self._items.popleft()
                    if not item.future.done():
                        return item
                if self.state is State.DRAINING:
                    return None
                self._changed.wait()

    def _run(self, engine: JobRunner, item: _Item) -> None:
        started_at = time.perf_counter()
        try:
            result = engine.run(item.job, lambda: not item.future.done())
        except ServiceError as error:
            _answer(item, error)
        except Exception:  # of one job; the thread lives on for the others
            logger.exception("a job failed")
            _answer(item, InternalError("the request failed inside the service; the log has why"))
        else:
            compute_s = time.perf_counter() - started_at
            self._mean_compute_s += 0.1 * (compute_s - self._mean_compute_s)
            queue_ms = (started_at - item.queued_at) * 1e3
            _answer(item, Done(result, queue_ms, compute_s * 1e3))

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
    State.BROKEN: "the service could not load its model; its log says why",
}


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
