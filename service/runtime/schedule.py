"""Decides what a device computes next, one slice at a time. Needs no torch.

A work is a batch; a long one pauses between its passes, and each slice ends at a pause.
The contract:

- A batch of one pass goes first, whatever long works have been begun.
- The oldest long work gets at least two thirds of the device's time while others use it.
- The others are batches of one pass, and long works that take fewer passes than the oldest.
- Long works begin in the turns of their clients; at most `MAX_BEGUN` are begun at a time.
- A long work that pauses within a pass is continued before any other long work, so that the
  activations of one pass at most are kept.
- A work is dropped at a pause when all of its items are cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from service.lrp.passes import Pause
from service.runtime.batcher import Batcher, Item, Part

ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")
Steps = Generator[Pause | Part[ItemT, ResultT], None, None]

MAX_BEGUN = 4
_OWED_PER_S = 2.0  # seconds for the oldest long work, for each second of the others


@dataclass(eq=False)
class Work(Generic[ItemT, ResultT]):
    """A batch that has been begun.

    Attributes
    ----------
    items : sequence of items
        The batch.
    steps : generator
        Its pauses, and the outcomes of its parts.
    compute_s : float
        Seconds of computation for the part that is next.
    has_worked : bool
        Whether any outcome was not an unforeseen exception.
    """

    items: Sequence[ItemT]
    steps: Steps[ItemT, ResultT]
    compute_s: float = 0.0
    has_worked: bool = field(default=False)

    @property
    def n_passes(self) -> int:
        """Passes of all images."""
        return self.items[0].n_passes * len(self.items)

    def is_cancelled(self) -> bool:
        """Whether no outcome is needed any more."""
        return all(item.is_cancelled() for item in self.items)


class Schedule(Generic[ItemT, ResultT]):
    """The works of one device.

    Parameters
    ----------
    batcher : Batcher
        Queued items; devices may share it.
    begin : callable
        Makes the steps of a batch.
    """

    def __init__(
        self,
        batcher: Batcher[ItemT, ResultT],
        begin: Callable[[Sequence[ItemT]], Steps[ItemT, ResultT]],
    ) -> None:
        self._batcher, self._begin = batcher, begin
        self._begun: list[Work[ItemT, ResultT]] = []  # long ones, the oldest first
        self._within_pass: Work[ItemT, ResultT] | None = None
        self._owed_s = 0.0  # to the oldest long work

    @property
    def items(self) -> list[ItemT]:
        """The items of all long works that have been begun."""
        return [item for work in self._begun for item in work.items]

    def next_work(self) -> Work[ItemT, ResultT] | None:
        """Wait for a work; None means that the batcher is closed and nothing is left."""
        while True:
            self._drop_cancelled()
            if work := self._choose():
                return work
            if not self._batcher.wait():
                return None

    def record(self, work: Work[ItemT, ResultT], slice_s: float, pause: Pause | None) -> None:
        """Record the duration of a slice and how it ended; None is the end of the work."""
        is_oldest = work in self._begun[:1]
        if is_oldest:
            self._owed_s = max(self._owed_s - slice_s, -slice_s)
        elif self._begun or self._batcher.has_long():
            self._owed_s += _OWED_PER_S * slice_s
        self._within_pass = work if pause is Pause.WITHIN else self._within_pass
        if pause is not Pause.WITHIN and self._within_pass is work:
            self._within_pass = None
        if pause is None and work in self._begun:
            self._begun.remove(work)
        elif pause is not None and work not in self._begun:  # of one pass, and of more slices
            self._begun.append(work)
        if not self._begun and not self._batcher.has_long():
            self._owed_s = 0.0

    def _drop_cancelled(self) -> None:
        for work in [work for work in self._begun if work.is_cancelled()]:
            work.steps.close()
            self._begun.remove(work)
            if self._within_pass is work:
                self._within_pass = None

    def _choose(self) -> Work[ItemT, ResultT] | None:
        if self._owed_s <= 0 and (work := self._next_short()):
            return work
        return self._next_long() or self._next_short()

    def _next_short(self) -> Work[ItemT, ResultT] | None:
        batch = self._batcher.next_short()
        return Work(batch, self._begin(batch)) if batch else None

    def _next_long(self) -> Work[ItemT, ResultT] | None:
        if self._within_pass:
            return self._within_pass
        if not self._begun:
            return self._begin_long(self._batcher.next_long())
        if self._owed_s > 0:
            return self._begun[0]
        fewest = min(self._begun, key=lambda work: work.n_passes)
        if len(self._begun) < MAX_BEGUN:
            shorter = self._batcher.next_long(max_passes=fewest.n_passes - 1)
            return self._begin_long(shorter) or fewest
        return fewest

    def _begin_long(self, batch: Sequence[ItemT]) -> Work[ItemT, ResultT] | None:
        if not batch:
            return None
        work = Work(batch, self._begin(batch))
        self._begun.append(work)
        return work
