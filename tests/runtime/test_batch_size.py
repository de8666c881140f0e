"""The fastest size and threads of batches are measured, and are no more than needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.runtime import batch_size
from service.runtime.batch_size import (
    LONGEST_BATCH_S,
    WORK_PER_THREAD_S,
    BatchPlan,
    measure_batches,
)

SIZES = [1, 2, 4, 8, 16, 32]


class Clock:
    """Stands in for time: a batch takes as long as it is told to.

    `speed_up` is how many times as fast it is with some threads.
    """

    def __init__(
        self,
        cost_s: Callable[[int], float],
        speed_up: Callable[[int], float] = lambda n_threads: 1.0,
    ) -> None:
        self.cost_s, self.speed_up, self.now_s = cost_s, speed_up, 0.0
        self.tried: list[int] = []
        self.threads: list[int] = []

    def perf_counter(self) -> float:
        """Say what time it is."""
        return self.now_s

    def run(self, size: int, n_threads: int) -> None:
        """Let the time pass that a batch takes."""
        self.tried.append(size)
        self.threads.append(n_threads)
        self.now_s += self.cost_s(size) / self.speed_up(n_threads)


@pytest.mark.parametrize(
    ("cost_s", "best"),
    [
        (lambda n: 0.004 + 0.0001 * n, 32),  # starting costs most
        (lambda n: 0.001 * n, 1),  # nothing is gained
        (lambda n: 0.002 + 0.003 * n, 16),  # 32 would be 2% better only
        (lambda n: 0.001 * n * (0.5 if n == 8 else 1), 8),
        (lambda n: 0.1 + 0.02 * n, 4),  # 8 takes more than a quarter of a second
        (lambda n: 3.0 * n**0.5, 1),  # so does one, but it has to be done
    ],
    ids=["overhead", "linear", "near", "cliff", "long", "very long"],
)
def test_it_is_the_smallest_that_is_nearly_as_good_as_the_best(
    cost_s: Callable[[int], float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(cost_s)
    monkeypatch.setattr(batch_size, "time", clock)
    sizes = SIZES if best != 8 else [1, 8, 16]
    assert measure_batches(clock.run, sizes, 1).size == best


def test_it_stops_when_a_batch_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda n: LONGEST_BATCH_S if n == 1 else 2 * LONGEST_BATCH_S)
    monkeypatch.setattr(batch_size, "time", clock)
    assert measure_batches(clock.run, SIZES, 1).size == 1
    assert set(clock.tried) == {1, 2}


def test_what_takes_long_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda n: 2.0 * n)
    monkeypatch.setattr(batch_size, "time", clock)
    assert measure_batches(clock.run, SIZES, 1).size == 1
    assert clock.tried == [1, 2]


def test_larger_sizes_are_tried_after_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other work at start-up may slow down all tries of a size."""
    clock = Clock(lambda n: 0.004 + 0.0001 * n + (0.1 if n == 2 else 0))
    monkeypatch.setattr(batch_size, "time", clock)
    assert measure_batches(clock.run, SIZES, 1).size == 32


def test_a_single_slow_try_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = iter([9.0])
    clock = Clock(lambda n: next(slow, 0.004 + 0.0001 * n))
    monkeypatch.setattr(batch_size, "time", clock)
    assert measure_batches(clock.run, SIZES, 1).size == 32


def test_each_thread_has_enough_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time alone decides: a neighbour that takes the other core away at start-up does not."""
    clock = Clock(lambda n: WORK_PER_THREAD_S * (0.9 * n**0.9), lambda n_threads: 1 / n_threads)
    monkeypatch.setattr(batch_size, "time", clock)
    plan = measure_batches(clock.run, SIZES, 4)
    assert plan.n_threads(1) == 1
    assert plan.n_threads(4) == 3


@pytest.mark.parametrize("n_cores", [1, 2, 3, 4, 6, 8, 64])
def test_no_more_threads_than_cores_are_tried(
    n_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(lambda n: n_cores * WORK_PER_THREAD_S + 0.0001 * n, float)
    monkeypatch.setattr(batch_size, "time", clock)
    plan = measure_batches(clock.run, SIZES, n_cores)
    assert max(clock.threads) == plan.n_threads(1) == n_cores


def test_a_size_that_was_not_measured_has_the_threads_of_the_next_smaller() -> None:
    plan = BatchPlan(4, {1: 1, 4: 2})
    assert [plan.n_threads(size) for size in (1, 3, 4, 100)] == [1, 1, 2, 2]
