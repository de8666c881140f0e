"""A queue whose clients take turns. Needs no torch; its owner holds a lock.

- The first item of the client whose turn it is comes first; each client's items keep their order.
- A client whose turn is taken goes behind the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar


class Owned(Protocol):
    """An item that belongs to a client."""

    @property
    def client(self) -> Hashable:
        """The client that sent it."""


ItemT = TypeVar("ItemT", bound=Owned)


class FairQueue(Generic[ItemT]):
    """Items by client; clients take turns."""

    def __init__(self) -> None:
        self._by_client: dict[Hashable, deque[ItemT]] = {}  # in the order of their turns
        self._n_items = 0

    def __len__(self) -> int:
        return self._n_items

    def __iter__(self) -> Iterator[ItemT]:
        """Iterate over the first item of each client in turn, then the second of each, ..."""
        queues = [iter(items) for items in self._by_client.values()]
        while queues:
            with_more = []
            for items in queues:
                for item in items:
                    yield item
                    with_more.append(items)
                    break
            queues = with_more

    def count(self, client: Hashable) -> int:
        """Count the items of a client."""
        return len(self._by_client.get(client, ()))

    def clients(self) -> Sequence[Hashable]:
        """The clients that have items."""
        return list(self._by_client)

    def append(self, item: ItemT) -> None:
        """Add an item behind those of its client."""
        self._by_client.setdefault(item.client, deque()).append(item)
        self._n_items += 1

    def remove(self, item: ItemT) -> None:
        """Remove an item, if it is there."""
        self._keep(item.client, lambda other: other is not item)

    def take(self, items: Sequence[ItemT]) -> None:
        """Remove items; the client of the first one has had its turn."""
        taken = set(map(id, items))
        for client in {item.client for item in items}:
            self._keep(client, lambda item: id(item) not in taken)
        if items and (left := self._by_client.pop(items[0].client, None)):
            self._by_client[items[0].client] = left

    def pop_newest(self, client: Hashable) -> ItemT:
        """Remove the newest item of a client that has some."""
        item = self._by_client[client].pop()
        self._n_items -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        return item

    def _keep(self, client: Hashable, is_kept: Callable[[ItemT], bool]) -> None:
        before = self._by_client.get(client, ())
        kept = deque(item for item in before if is_kept(item))
        self._n_items -= len(before) - len(kept)
        if kept:
            self._by_client[client] = kept
        else:
            self._by_client.pop(client, None)
