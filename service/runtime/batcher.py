"""Greedy batching: a bounded queue that gives its items in batches. Needs no torch, no event loop.

The contract:

- A batch holds items of one key: the best number of them or, if fewer are queued, a power of two,
  so that few batch sizes occur.
- Clients take turns: the oldest item of the client whose turn it is is in the next batch, whatever
  its key. No client and no key starves.
- Items of one pass and longer ones are taken separately; so the device can choose between them.
- No item waits for others to join it: a batch is made of what is queued when the device is free.
- A full queue refuses an item at once, unless another client has more items in it: then the newest
  item of the client with the most of them is displaced.
- A cancelled item takes no capacity and no time.
- Each item gets one outcome: a result of its own, or an error of its own.
- A batch that fails is split in halves that are run again, until the failing items are alone.
- So is a batch that runs out of memory; later batches of its memory class stay at the size that
  did fit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Hashable, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from service.errors import OutOfMemory, ServiceError
from service.lrp.passes import Passes, Pause
from service.runtime.fair_queue import FairQueue


class Item(Protocol):
    """An item of the queue."""

    @property
    def key(self) -> Hashable:
        """Items with the same key can share a batch."""

    @property
    def memory_class(self) -> Hashable:
        """Items of the same class need about the same memory; there are few classes."""

    @property
    def client(self) -> Hashable:
        """The client that sent it."""

    @property
    def n_passes(self) -> int:
        """Passes of its image through the network."""

    def is_cancelled(self) -> bool:
        """Whether the outcome is not needed any more."""


ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")
Outcomes = Sequence[ResultT | Exception]
Part = tuple[Sequence[ItemT], Outcomes[ResultT]]


class Full(Exception):
    """The queue is full."""


class Batcher(Generic[ItemT, ResultT]):
    """A queue of items that threads take a batch at a time.

    Parameters
    ----------
    size : int
        Capacity, in items.
    best_size : callable
        The best size of a batch of items like this one.
    """

    def __init__(self, size: int, best_size: Callable[[ItemT], int]) -> None:
        self._size, self._best_size = size, best_size
        self._short: FairQueue[ItemT] = FairQueue()  # of one pass
        self._long: FairQueue[ItemT] = FairQueue()
        self._limits: dict[Hashable, int] = {}  # on the batch size, of memory classes that ran out
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._short) + len(self._long)

    def has_long(self) -> bool:
        """Whether an item of several passes is queued."""
        return len(self._long) > 0

    def is_full(self, client: Hashable) -> bool:
        """Whether another item of a client would be refused."""
        if len(self) < self._size:
            return False
        with self._changed:
            return self._fullest_client(client) is None

    def put(self, item: ItemT) -> ItemT | None:
        """Add an item, and return the item that it displaces.

        Raises
        ------
        Full
            The capacity is reached, and no other client has more items.
        """
        with self._changed:
            displaced = self._make_room(item.client)
            self._queue_of(item).append(item)
            self._changed.notify()
            return displaced

    def discard(self, item: ItemT) -> None:
        """Remove a cancelled item, if it is still queued."""
        with self._changed:
            self._queue_of(item).remove(item)

    def wait(self) -> bool:
        """Wait for an item; False means that the batcher is closed and has no items left."""
        with self._changed:
            while not len(self):
                if self._is_closed:
                    return False
                self._changed.wait()
            return True

    def next_short(self) -> list[ItemT]:
        """Take a batch of items of one pass; an empty one if there are none."""
        with self._changed:
            return self._pop(self._short)

    def next_long(self, max_passes: float = math.inf) -> list[ItemT]:
        """Take a batch of items of several passes; an empty one if there are none.

        Parameters
        ----------
        max_passes : float
            With a limit, the item with the fewest passes is taken out of turn.
        """
        with self._changed:
            return self._pop(self._long, max_passes)

    def close(self) -> None:
        """Let `wait` end when no items are left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def run_with_bisection(
        self, items: Sequence[ItemT], run: Callable[[Sequence[ItemT]], Passes[Outcomes[ResultT]]]
    ) -> Generator[Pause | Part[ItemT, ResultT], None, None]:
        """Run a batch, in halves where it fails; yield its pauses and the outcomes of each part.

        Parameters
        ----------
        items : sequence of items
            Of one key.
        run : callable
            Returns an outcome for each item, in their order. A `ServiceError` that it raises
            concerns all of them; any other exception may concern one of them.
        """
        try:
            outcomes = yield from run(items)
        except ServiceError as error:
            if not isinstance(error, OutOfMemory) or len(items) == 1:
                yield items, [error] * len(items)
                return
            self._limits[items[0].memory_class] = len(items) // 2
        except Exception as error:  # noqa: BLE001  any of them is an outcome
            if len(items) == 1:
                yield items, [error]
                return
        else:
            yield items, outcomes
            return
        middle = len(items) // 2
        yield from self.run_with_bisection(items[:middle], run)
        yield from self.run_with_bisection(items[middle:], run)

    def _queue_of(self, item: ItemT) -> FairQueue[ItemT]:
        return self._short if item.n_passes == 1 else self._long

    def _make_room(self, client: Hashable) -> ItemT | None:
        if len(self) < self._size:
            return None
        fullest = self._fullest_client(client)
        if fullest is None:
            raise Full
        queue = self._long if self._long.count(fullest) else self._short
        return queue.pop_newest(fullest)

    def _fullest_client(self, client: Hashable) -> Hashable | None:
        """The client with the most items, if it still has more when one of them is displaced."""
        fullest = max([*self._short.clients(), *self._long.clients()], key=self._count)
        return fullest if self._count(fullest) > self._count(client) + 1 else None

    def _count(self, client: Hashable) -> int:
        return self._short.count(client) + self._long.count(client)

    def _pop(self, queue: FairQueue[ItemT], max_passes: float = math.inf) -> list[ItemT]:
        while len(queue):
            waiting = (item for item in queue if not item.is_cancelled())
            if max_passes < math.inf:
                first = min(waiting, key=lambda item: item.n_passes, default=None)
            else:
                first = next(waiting, None)
            if first is None:
                queue.take(list(queue))
                return []
            if first.n_passes > max_passes:
                return []
            if batch := self._batch_like(first, queue):  # else it was cancelled just now
                queue.take(batch)
                return batch
        return []

    def _batch_like(self, first: ItemT, queue: FairQueue[ItemT]) -> list[ItemT]:
        limit = min(self._best_size(first), self._limits.get(first.memory_class, self._size))
        alike = (item for item in queue if item.key == first.key and not item.is_cancelled())
        found = list(islice(alike, limit))
        return found if len(found) == limit else found[: 1 << max(0, len(found).bit_length() - 1)]
