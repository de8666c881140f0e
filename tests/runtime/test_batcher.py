"""The batcher keeps its contract: which items make a batch, and what becomes of one that fails."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import OptionError, OutOfMemory
from service.lrp.passes import Passes, Pause
from service.runtime.batcher import Batcher, Full, Part

LIMIT_S = 10.0


@dataclass
class Thing:
    """An item whose key, a letter, is its memory class too."""

    key: Hashable
    number: int
    cancelled: bool = False
    client: str = "a client"
    n_passes: int = 1

    @property
    def memory_class(self) -> Hashable:
        return self.key

    def is_cancelled(self) -> bool:
        return self.cancelled


def filled(keys: str, size: int = 100, best_size: int = 4) -> Batcher[Thing, int]:
    batcher: Batcher[Thing, int] = Batcher(size, lambda item: best_size)
    for number, key in enumerate(keys):
        batcher.put(Thing(key, number))
    return batcher


def numbers(batch: Sequence[Thing]) -> list[int]:
    return [item.number for item in batch]


def taken(batcher: Batcher[Thing, int]) -> list[list[int]]:
    """All batches until nothing is left."""
    return [numbers(batch) for batch in iter(batcher.next_short, [])]


# Which items make a batch


@pytest.mark.parametrize(
    ("keys", "batches"),
    [
        ("a", [[0]]),
        ("aaa", [[0, 1], [2]]),  # a power of two
        ("aaaa", [[0, 1, 2, 3]]),
        ("aaaaaa", [[0, 1, 2, 3], [4, 5]]),
        ("abab", [[0, 2], [1, 3]]),
        ("baaaaaab", [[0, 7], [1, 2, 3, 4], [5, 6]]),
        ("aaaaab", [[0, 1, 2, 3], [4], [5]]),
    ],
)
def test_a_batch_has_the_key_of_the_oldest_item(keys: str, batches: list[list[int]]) -> None:
    assert taken(filled(keys)) == batches


def test_a_batch_of_the_best_size_need_not_be_a_power_of_two() -> None:
    assert taken(filled("a" * 12, best_size=6)) == [[*range(6)], [*range(6, 12)]]
    assert taken(filled("a" * 11, best_size=6)) == [[*range(6)], [6, 7, 8, 9], [10]]


def test_no_key_starves() -> None:
    batcher = filled("aaaaab" + "a" * 50)
    batches = [numbers(batcher.next_short()) for _ in range(3)]
    assert batches[0] == [0, 1, 2, 3]
    assert batches[1] == [4, 6, 7, 8]
    assert batches[2] == [5]


@given(keys=st.text("abc", max_size=40), best_size=st.integers(1, 9))
def test_every_item_is_in_one_batch_of_its_key_and_in_order(keys: str, best_size: int) -> None:
    batches = taken(filled(keys, best_size=best_size))
    assert sorted(chain.from_iterable(batches)) == list(range(len(keys)))
    for batch in batches:
        assert len(batch) == best_size or len(batch) in (1, 2, 4, 8)
        assert len(batch) <= best_size
        assert len({keys[number] for number in batch}) == 1
    for key in set(keys):
        of_key = [number for batch in batches for number in batch if keys[number] == key]
        assert of_key == sorted(of_key)
    oldest = [batch[0] for batch in batches]
    left = [min(chain.from_iterable(batches[index:])) for index in range(len(batches))]
    assert oldest == left


def test_the_best_size_is_looked_up_for_each_batch() -> None:
    batcher: Batcher[Thing, int] = Batcher(9, lambda item: 2 if item.key == "a" else 3)
    for number, key in enumerate("aaabbb"):
        batcher.put(Thing(key, number))
    assert taken(batcher) == [[0, 1], [2], [3, 4, 5]]


class CancelledLater(Thing):
    """Is cancelled after it was checked once."""

    def __init__(self, key: str, number: int) -> None:
        super().__init__(key, number)
        self._answers = iter([False])

    def is_cancelled(self) -> bool:
        return next(self._answers, True)


def test_an_item_that_is_cancelled_while_its_batch_is_made() -> None:
    batcher: Batcher[Thing, int] = Batcher(9, lambda item: 4)
    for item in (CancelledLater("a", 0), Thing("b", 1)):
        batcher.put(item)
    assert taken(batcher) == [[1]]


# Capacity


def test_it_is_full_at_its_capacity() -> None:
    batcher = filled("aa", size=3)
    assert not batcher.is_full("a client")
    batcher.put(Thing("a", 2))
    assert batcher.is_full("a client")
    batcher.next_short()
    assert not batcher.is_full("a client")


def test_a_full_queue_refuses_until_a_batch_is_taken() -> None:
    batcher = filled("aaa", size=3)
    with pytest.raises(Full):
        batcher.put(Thing("a", 3))
    assert len(batcher) == 3
    batcher.next_short()
    batcher.put(Thing("a", 4))
    assert taken(batcher) == [[4]]


def test_discarded_items_take_no_capacity() -> None:
    batcher: Batcher[Thing, int] = Batcher(3, lambda item: 4)
    things = [Thing("a", number) for number in range(3)]
    for thing in things:
        batcher.put(thing)
    batcher.discard(things[0])
    batcher.discard(things[2])
    assert not batcher.is_full("a client")
    batcher.put(Thing("a", 3))
    assert len(batcher) == 2
    assert taken(batcher) == [[1, 3]]


def test_an_item_of_a_taken_batch_can_be_discarded() -> None:
    batcher = filled("a")
    batcher.discard(batcher.next_short()[0])
    assert len(batcher) == 0


def test_cancelled_items_are_skipped() -> None:
    batcher: Batcher[Thing, int] = Batcher(3, lambda item: 4)
    for number in range(3):
        batcher.put(Thing("a", number, cancelled=number != 1))
    assert taken(batcher) == [[1]]


def test_cancelled_items_do_not_make_batches_smaller() -> None:
    batcher = filled("")
    for number in range(8):
        batcher.put(Thing("a", number, cancelled=number % 2 == 1))
    assert taken(batcher) == [[0, 2, 4, 6]]


def test_it_waits_for_an_item_and_ends_when_it_is_closed() -> None:
    batcher = filled("")
    found: list[list[int]] = []

    def work() -> None:
        while batcher.wait():
            found.append(numbers(batcher.next_short()))

    thread = threading.Thread(target=work)
    thread.start()
    batcher.put(Thing("a", 7))
    thread.join(0.05)
    assert thread.is_alive()
    batcher.close()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert found == [[7]]


# Items of one pass, and longer ones


def test_longer_items_are_taken_separately_and_count_as_capacity() -> None:
    batcher = filled("aa", size=4)
    assert not batcher.has_long()
    batcher.put(Thing("b", 2, n_passes=8))
    batcher.put(Thing("b", 3, n_passes=8))
    assert (batcher.has_long(), batcher.is_full("a client")) == (True, True)
    assert numbers(batcher.next_short()) == [0, 1]
    assert numbers(batcher.next_short()) == []
    assert numbers(batcher.next_long()) == [2, 3]
    assert len(batcher) == 0


def test_with_a_limit_the_item_with_the_fewest_passes_is_taken() -> None:
    batcher = filled("")
    for number, n_passes in enumerate((30, 10, 20)):
        batcher.put(Thing(number, number, n_passes=n_passes))
    assert numbers(batcher.next_long(max_passes=9)) == []
    assert numbers(batcher.next_long(max_passes=29)) == [1]
    assert numbers(batcher.next_long()) == [0]


# Clients


def test_clients_take_turns() -> None:
    batcher = filled("a" * 12)  # of one client, which came first
    batcher.put(Thing("b", 12, client="another"))
    assert [numbers(batcher.next_short()) for _ in range(3)] == [[0, 1, 2, 3], [12], [4, 5, 6, 7]]


def test_clients_share_a_batch_evenly() -> None:
    batcher = filled("a" * 6)
    for number in (6, 7):
        batcher.put(Thing("a", number, client="another"))
    assert sorted(numbers(batcher.next_short())) == [0, 1, 6, 7]


def test_a_client_with_fewer_items_displaces_the_newest_of_the_client_with_the_most() -> None:
    batcher = filled("a" * 4, size=4)
    assert batcher.is_full("a client")
    assert not batcher.is_full("another")
    displaced = [batcher.put(Thing("a", number, client="another")) for number in (4, 5)]
    assert [item.number for item in displaced if item] == [3, 2]
    assert batcher.is_full("another")  # each has half of it
    with pytest.raises(Full):
        batcher.put(Thing("a", 6, client="another"))
    assert batcher.put(Thing("a", 7, client="a third"))
    assert len(batcher) == 4


@given(clients=st.lists(st.sampled_from("xyz"), max_size=60), size=st.integers(1, 12))
def test_no_client_is_shut_out_by_the_others(clients: list[str], size: int) -> None:
    batcher: Batcher[Thing, int] = Batcher(size, lambda item: 100)
    for number, client in enumerate(clients):
        with suppress(Full):
            batcher.put(Thing("a", number, client=client))
    assert len(batcher) == min(size, len(clients))
    counts = Counter(item.client for item in batcher._short)
    for client in set(clients):
        assert counts[client] >= min(clients.count(client), size // 3)


# A batch that fails


class Device:
    """Doubles numbers, fails at some of them, and has memory for so many."""

    def __init__(self, bad: Sequence[int] = (), room: int = 1000) -> None:
        self.bad, self.room = bad, room
        self.sizes: list[int] = []

    def run(self, items: Sequence[Thing]) -> Passes[list[int | Exception]]:
        yield Pause.BETWEEN
        self.sizes.append(len(items))
        if len(items) > self.room:
            raise OutOfMemory("too many")
        if set(self.bad) & set(numbers(items)):
            raise ValueError("one of them is bad")
        return [2 * item.number for item in items]


def parts_of(steps: Iterable[Pause | Part[Thing, int]]) -> Iterator[Part[Thing, int]]:
    return (step for step in steps if not isinstance(step, Pause))


def settled(
    batcher: Batcher[Thing, int], run: Callable[[Sequence[Thing]], Passes[list[int | Exception]]]
) -> dict[int, int | Exception]:
    found: dict[int, int | Exception] = {}
    for items, outcomes in parts_of(batcher.run_with_bisection(batcher.next_short(), run)):
        for item, outcome in zip(items, outcomes, strict=True):
            assert item.number not in found
            found[item.number] = outcome
    return found


@given(bad=st.sets(st.integers(0, 31)), n=st.integers(1, 32))
def test_only_items_that_fail_alone_get_an_error(bad: set[int], n: int) -> None:
    found = settled(filled("a" * n, best_size=n), Device(list(bad)).run)
    assert sorted(found) == list(range(n))
    for number, outcome in found.items():
        if number in bad:
            assert isinstance(outcome, ValueError)
        else:
            assert outcome == 2 * number


def test_one_of_32_costs_ten_more_runs() -> None:
    device = Device([13])
    settled(filled("a" * 32, best_size=32), device.run)
    assert device.sizes == [32, 16, 8, 8, 4, 4, 2, 1, 1, 2, 16]


def test_an_error_of_the_whole_batch_is_not_retried() -> None:
    error = OptionError.of("composite", "does not fit")
    runs: list[int] = []

    def run(items: Sequence[Thing]) -> Passes[list[int | Exception]]:
        runs.append(len(items))
        yield Pause.BETWEEN
        raise error

    assert settled(filled("aaaa"), run) == dict.fromkeys(range(4), error)
    assert runs == [4]


@pytest.mark.parametrize("room", [1, 5, 8, 16, 31])
def test_out_of_memory_makes_batches_smaller_and_is_remembered(room: int) -> None:
    batcher, device = filled("a" * 32, best_size=32), Device(room=room)
    assert settled(batcher, device.run) == {number: 2 * number for number in range(32)}
    device.sizes.clear()
    for number in range(100, 132):
        batcher.put(Thing("a", number))
        batcher.put(Thing("b", number))
    first, other = batcher.next_short(), batcher.next_short()
    assert len(first) == max(2**n for n in range(6) if 2**n <= room)
    assert len(other) == 32  # another memory class
    list(batcher.run_with_bisection(first, device.run))
    assert device.sizes == [len(first)]


def test_an_item_that_does_not_fit_alone_is_out_of_memory() -> None:
    found = settled(filled("aaaa"), Device(room=0).run)
    assert [type(outcome) for outcome in found.values()] == [OutOfMemory] * 4


def test_outcomes_are_yielded_as_soon_as_they_are_known() -> None:
    batcher, device = filled("aaaa"), Device([3])
    parts = parts_of(batcher.run_with_bisection(batcher.next_short(), device.run))
    items, _ = next(parts)
    assert numbers(items) == [0, 1]
    assert device.sizes == [4, 2]
