"""Greedy batching: a bounded queue that gives its items in batches. Needs no torch, no event loop.

The contract:

- A batch holds items of one key, in their order: the best number of them or, if fewer are queued,
  a power of two, so that few batch sizes occur.
- The oldest item is in the next batch, whatever its key: no key starves.
- No item waits for others to join it: a batch is made of what is queued when the device is free.
- A full queue refuses an item at once. A cancelled item takes no capacity and no time.
- Each item gets one outcome: a result of its own, or an error of its own.
- A batch that fails is split in halves that are run again, until the failing items are alone.
- So is a batch that runs out of memory; later batches of its memory class stay at the size that
  did fit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Generic, Protocol, TypeVar

from service.errors import OutOfMemory, ServiceError


class Item(Protocol):
    """An item of the queue."""

    @property
    def key(self) -> Hashable:
        """Items with the same key can share a batch."""

    @property
    def memory_class(self) -> Hashable:
        """Items of the same class need about the same memory; there are few classes."""

    def is_cancelled(self) -> bool:
        """Whether the outcome is not needed any more."""


ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")
Outcomes = Sequence[ResultT | Exception]


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
        self._items: deque[ItemT] = deque()
        self._limits: dict[Hashable, int] = {}  # on the batch size, of memory classes that ran out
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._items)

    def is_full(self) -> bool:
        """Whether another item would be refused."""
        return len(self._items) >= self._size

    def put(self, item: ItemT) -> None:
        """Add an item.

        Raises
        ------
        Full
            The capacity is reached.
        """
        with self._changed:
            if self.is_full():
                raise Full
            self._items.append(item)
            self._changed.notify()

    def discard(self, item: ItemT) -> None:
        """Remove a cancelled item, if it is still queued."""
        with self._changed, suppress(ValueError):
            self._items.remove(item)

    def next_batch(self) -> list[ItemT]:
        """Wait for a batch; an empty one means that the batcher is closed and has no items left."""
        with self._changed:
            while True:
                if batch := self._pop():
                    return batch
                if self._is_closed:
                    return []
                self._changed.wait()

    def close(self) -> None:
        """Let `next_batch` end when no items are left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def run_with_bisection(
        self, items: Sequence[ItemT], run: Callable[[Sequence[ItemT]], Outcomes[ResultT]]
    ) -> Iterator[tuple[Sequence[ItemT], Outcomes[ResultT]]]:
        """Run a batch, in halves where it fails, and yield the outcomes of each part.

        Parameters
        ----------
        items : sequence of items
            Of one key.
        run : callable
            Returns an outcome for each item, in their order. A `ServiceError` that it raises
            concerns all of them; any other exception may concern one of them.
        """
        try:
            yield items, run(items)
            return
        except ServiceError as error:
            if not isinstance(error, OutOfMemory) or len(items) == 1:
                yield items, [error] * len(items)
                return
            self._limits[items[0].memory_class] = len(items) // 2
        except Exception as error:  # noqa: BLE001  any of them is an outcome
            if len(items) == 1:
                yield items, [error]
                return
        middle = len(items) // 2
        yield from self.run_with_bisection(items[:middle], run)
        yield from self.run_with_bisection(items[middle:], run)

    def _pop(self) -> list[ItemT]:
        while self._items:
            if self._items[0].is_cancelled():
                self._items.popleft()
                continue
            oldest = self._items[0]
            limit = min(self._best_size(oldest), self._limits.get(oldest.memory_class, self._size))
            alike = (
                item for item in self._items if item.key == oldest.key and not item.is_cancelled()
            )
            found = list(islice(alike, limit))
            if not found:  # the oldest was cancelled just now
                continue
            batch = found if len(found) == limit else found[: 1 << (len(found).bit_length() - 1)]
            taken = set(map(id, batch))
            self._items = deque(item for item in self._items if id(item) not in taken)
            return batch
        return []
