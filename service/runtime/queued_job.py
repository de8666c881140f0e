"""Jobs in the queue, with the futures of their callers. Needs no torch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from service.errors import ServiceError
from service.runtime.jobs import Explanation, Job, Prediction
from service.runtime.loaded_models import LoadedModel

logger = logging.getLogger(__name__)

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
    """A job in the queue, with the future of its caller and the event loop of that.

    Attributes
    ----------
    model : LoadedModel
        The version that it runs on.
    """

    job: Job
    model: LoadedModel
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
