"""The schedule of a device keeps its contract; the tests say how long a slice takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lrp.passes import Pause
from service.runtime.batcher import Batcher
from service.runtime.schedule import MAX_BEGUN, Schedule, Steps


@dataclass(eq=False)
class Thing:
    """An item; its number is its batch key."""

    number: int
    n_passes: int = 1
    client: str = "a client"
    cancelled: bool = False
    pause: Pause = Pause.BETWEEN
    key: Hashable = field(init=False)
    memory_class: Hashable = "memory"

    def __post_init__(self) -> None:
        self.key = self.number

    def is_cancelled(self) -> bool:
        return self.cancelled


class Device:
    """Takes slices from a schedule; one takes as long as `slice_s` says of its item."""

    def __init__(self, slice_s: Callable[[Thing], float] = lambda item: 1.0) -> None:
        self.batcher: Batcher[Thing, int] = Batcher(1000, lambda item: 4)
        self.schedule = Schedule(self.batcher, self._begin)
        self.slice_s = slice_s
        self.slices: list[int] = []
        self.seconds: Counter[int] = Counter()
        self.ended: list[int] = []

    def put(self, *items: Thing) -> None:
        for item in items:
            self.batcher.put(item)

    def _begin(self, items: Sequence[Thing]) -> Steps[Thing, int]:
        for _ in range(items[0].n_passes - 1):
            yield items[0].pause
        yield items, [0] * len(items)

    def run_slice(self) -> int | None:
        """Run a slice; returns the number of its item, or None where nothing is left."""
        work = self.schedule.next_work()
        if work is None:
            return None
        pause = next((step for step in work.steps if isinstance(step, Pause)), None)
        item = work.items[0]
        self.schedule.record(work, self.slice_s(item), pause)
        self.slices.append(item.number)
        self.seconds[item.number] += 1
        if pause is None:
            self.ended.append(item.number)
        return item.number

    def run(self, n_slices: int) -> list[int]:
        """Run slices; returns the numbers of their items."""
        return [number for _ in range(n_slices) if (number := self.run_slice()) is not None]

    def run_to_the_end(self) -> None:
        self.batcher.close()
        while self.run_slice() is not None:
            pass


def test_one_pass_goes_first_at_the_pauses_of_a_long_work() -> None:
    device = Device(slice_s=lambda item: 1.0 if item.n_passes > 1 else 0.01)
    device.put(Thing(0, n_passes=10))
    assert device.run(2) == [0, 0]
    device.put(Thing(1), Thing(2))
    assert device.run(3) == [1, 2, 0]


@pytest.mark.parametrize("short_s", [0.01, 0.4, 1.0, 3.0])
def test_the_oldest_long_work_gets_two_thirds_of_the_time(short_s: float) -> None:
    device = Device(slice_s=lambda item: 1.0 if item.n_passes > 1 else short_s)
    device.put(Thing(0, n_passes=1_000_000))
    device.run(1)
    device.put(*(Thing(number) for number in range(1, 900)))
    numbers = device.run(800)
    long_s, others_s = numbers.count(0), short_s * sum(number != 0 for number in numbers)
    assert others_s > 0
    one_turn_s = 1.0 + 2 * short_s
    assert 2 * others_s - one_turn_s <= long_s <= 2 * others_s + one_turn_s


def test_without_long_works_nothing_is_owed() -> None:
    device = Device()
    device.put(*(Thing(number) for number in range(20)))
    device.run(20)
    device.put(Thing(20, n_passes=3), Thing(21))
    assert device.run(2) == [21, 20]


def test_a_shorter_work_overtakes_the_oldest_which_goes_on() -> None:
    device = Device()
    device.put(Thing(0, n_passes=100))
    device.run(10)
    device.put(Thing(1, n_passes=5))
    device.run_to_the_end()
    assert device.ended == [1, 0]
    assert device.slices.index(1) <= 11
    last = len(device.slices) - device.slices[::-1].index(1)
    assert device.slices[10:last].count(0) >= 2 * 4 - 1  # of three slices it gets two


def test_equal_works_run_one_after_the_other() -> None:
    device = Device()
    device.put(*(Thing(number, n_passes=5) for number in range(3)))
    device.run_to_the_end()
    assert device.slices == sorted(device.slices)


def test_long_works_begin_in_the_turns_of_clients() -> None:
    device = Device()
    device.put(*(Thing(number, n_passes=3) for number in range(4)))
    device.put(Thing(9, n_passes=3, client="another"))
    device.run_to_the_end()
    assert device.ended == [0, 9, 1, 2, 3]


def test_a_work_that_pauses_within_a_pass_is_continued_before_other_long_ones() -> None:
    device = Device(slice_s=lambda item: 0.1)
    device.put(Thing(0, n_passes=5, pause=Pause.WITHIN))
    device.run(1)
    device.put(Thing(1, n_passes=2), Thing(2))
    device.run_to_the_end()
    assert device.ended == [2, 0, 1]


def test_few_works_are_begun_at_a_time() -> None:
    device = Device()
    for number in range(10):
        device.put(Thing(number, n_passes=100 - number))
        device.run(1)
    assert len(device.schedule.items) <= MAX_BEGUN
    device.run_to_the_end()
    assert sorted(device.ended) == list(range(10))


def test_a_cancelled_work_is_dropped_at_its_next_pause() -> None:
    device = Device()
    item = Thing(0, n_passes=100, pause=Pause.WITHIN)
    device.put(item)
    device.run(2)
    item.cancelled = True
    device.put(Thing(1, n_passes=2))
    device.run_to_the_end()
    assert device.slices == [0, 0, 1, 1]
    assert device.schedule.items == []


@given(
    passes=st.lists(st.integers(1, 12), max_size=20),
    pauses=st.lists(st.sampled_from(Pause), min_size=20, max_size=20),
    clients=st.lists(st.sampled_from("xyz"), min_size=20, max_size=20),
)
def test_every_work_ends_after_all_of_its_slices(
    passes: list[int], pauses: list[Pause], clients: list[str]
) -> None:
    device = Device()
    for number, n_passes in enumerate(passes):
        device.put(Thing(number, n_passes, clients[number], pause=pauses[number]))
        device.run(1)
    device.run_to_the_end()
    assert sorted(device.ended) == list(range(len(passes)))
    assert Counter(device.slices) == dict(enumerate(passes))
