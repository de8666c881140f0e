"""The best batch is found by trying, and is no larger than it has to be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.runtime import batch_size
from service.runtime.batch_size import LONGEST_BATCH_S, best_batch_size

SIZES = [1, 2, 4, 8, 16, 32]


class Clock:
    """Stands in for time: a batch takes as long as it is told to."""

    def __init__(self, cost_s: Callable[[int], float]) -> None:
        self.cost_s, self.now_s = cost_s, 0.0
        self.tried: list[int] = []

    def perf_counter(self) -> float:
        """Say what time it is."""
        return self.now_s

    def run(self, size: int) -> None:
        """Let the time pass that a batch takes."""
        self.tried.append(size)
        self.now_s += self.cost_s(size)


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
    assert best_batch_size(clock.run, sizes) == best


def test_it_stops_when_a_batch_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda n: LONGEST_BATCH_S if n == 1 else 2 * LONGEST_BATCH_S)
    monkeypatch.setattr(batch_size, "time", clock)
    assert best_batch_size(clock.run, SIZES) == 1
    assert set(clock.tried) == {1, 2}


def test_what_takes_long_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda n: 2.0 * n)
    monkeypatch.setattr(batch_size, "time", clock)
    assert best_batch_size(clock.run, SIZES) == 1
    assert clock.tried == [1, 2]


def test_a_single_slow_try_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = iter([9.0])
    clock = Clock(lambda n: next(slow, 0.004 + 0.0001 * n))
    monkeypatch.setattr(batch_size, "time", clock)
    assert best_batch_size(clock.run, SIZES) == 32
