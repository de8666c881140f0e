"""What waits for the device, in batches. Needs no torch and no event loop.

The contract:

- A batch holds items of one key, in the order in which they came, and no more than are best; and
  a power of two of them, or as many as are best: so whoever does them meets few sizes.
- The item that has waited longest is in the next batch, whatever its key: no key waits for the
  rush of another one.
- No item waits to be joined by others: a batch is what is there when the device is free.
- A full room refuses at once. An item that nobody waits for any more takes no room and no time.
- Each item gets one outcome: a result of its own, or an error of its own.
- A batch that fails is tried again in halves, until what fails stands alone.
- One that does not fit into memory too; and later batches of its kind stay as small as what did.
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
    """What waits."""

    @property
    def key(self) -> Hashable:
        """Items with the same key can be done together."""

    @property
    def memory_class(self) -> Hashable:
        """Items of the same kind need much the same memory; there are few kinds."""

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the outcome any more."""


ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")
Outcomes = Sequence[ResultT | Exception]


class Full(Exception):
    """No more items may wait."""


class Batcher(Generic[ItemT, ResultT]):
    """Items wait in it until a thread takes them, a batch at a time.

    Parameters
    ----------
    size : int
        Items that may wait.
    best_size : callable
        How many items like this one are best done at once.
    """

    def __init__(self, size: int, best_size: Callable[[ItemT], int]) -> None:
        self._size, self._best_size = size, best_size
        self._items: deque[ItemT] = deque()
        self._limits: dict[Hashable, int] = {}  # of kinds that did not fit into memory
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._items)

    def is_full(self) -> bool:
        """Whether no more may wait."""
        return len(self._items) >= self._size

    def put(self, item: ItemT) -> None:
        """Let an item wait.

        Raises
        ------
        Full
            As many wait already as may.
        """
        with self._changed:
            if self.is_full():
                raise Full
            self._items.append(item)
            self._changed.notify()

    def discard(self, item: ItemT) -> None:
        """Let an item leave that nobody waits for any more, if it still waits."""
        with self._changed, suppress(ValueError):
            self._items.remove(item)

    def next_batch(self) -> list[ItemT]:
        """Wait for a batch; none means that the batcher is closed and nothing is left."""
        with self._changed:
            while True:
                if batch := self._pop():
                    return batch
                if self._is_closed:
                    return []
                self._changed.wait()

    def close(self) -> None:
        """Let `take` end when nothing is left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def run_with_bisection(
        self, items: Sequence[ItemT], run: Callable[[Sequence[ItemT]], Outcomes[ResultT]]
    ) -> Iterator[tuple[Sequence[ItemT], Outcomes[ResultT]]]:
        """Do a batch, in parts if it has to be, and give the outcomes as they come.

        Parameters
        ----------
        items : sequence of items
            Of one key.
        run : callable
            Gives an outcome for each item, in their order. A `ServiceError` that it raises is
            about what all of them ask for; anything else may be about one of them.
        """
        try:
            yield items, run(items)
            return
        except ServiceError as error:
            if not isinstance(error, OutOfMemory) or len(items) == 1:
                yield items, [error] * len(items)
                return
            self._limits[items[0].memory_class] = len(items) // 2
        except Exception as error:  # noqa: BLE001  whatever it is, it is an outcome
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
            if not found:  # the oldest was given up just now
                continue
            batch = found if len(found) == limit else found[: 1 << (len(found).bit_length() - 1)]
            taken = set(map(id, batch))
            self._items = deque(item for item in self._items if id(item) not in taken)
            return batch
        return []
