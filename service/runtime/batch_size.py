"""Measures how batches are computed fastest: their size and their threads. Needs no torch.

Threads that share the work of an operator wait for each other after each of them: a small batch is
as fast with one thread, which leaves the other cores to the rest of the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LONGEST_BATCH_S = 0.25  # a larger batch would make those that wait for it wait too long
# A thread gains for batches of so much work: on two cores two threads were slower for 10 and 15 ms,
# faster for 25 ms. It is no trial of both, as other work at start-up would decide that.
WORK_PER_THREAD_S = 0.012
_GOOD_ENOUGH = 1.05
_N_TRIES = 3


@dataclass(frozen=True)
class BatchPlan:
    """The best batch size, and the number of threads for each size that was measured.

    Attributes
    ----------
    size : int
        The largest size that is worth to be computed at once.
    threads : mapping of int to int
        Threads by size, ascending; the first size is 1.
    """

    size: int
    threads: Mapping[int, int]

    def n_threads(self, size: int) -> int:
        """Threads for a batch; a size that was not measured has those of the next smaller one."""
        return self.threads[max(measured for measured in self.threads if measured <= size)]


def measure_batches(
    run: Callable[[int, int], object], sizes: Sequence[int], max_threads: int
) -> BatchPlan:
    """Find the smallest batch size within 5% of the least time per image.

    Parameters
    ----------
    run : callable
        Computes a batch of as many images, with as many threads, as it is told.
    sizes : sequence of int
        To be tried in their order, ascending from 1, until a batch takes too long. A slower one
        does not end it: other work at start-up may have slowed it down.
    max_threads : int
        Threads that a batch may use.
    """
    per_image_s: dict[int, float] = {}
    threads: dict[int, int] = {}
    for size in sizes:
        n_threads, batch_s = _time_with_threads(run, size, max_threads)
        if per_image_s and batch_s > LONGEST_BATCH_S:
            break
        per_image_s[size], threads[size] = batch_s / size, n_threads
    best_s = min(per_image_s.values())
    best = next(size for size, s in per_image_s.items() if s <= best_s * _GOOD_ENOUGH)
    return BatchPlan(best, threads)


def _time_with_threads(
    run: Callable[[int, int], object], size: int, max_threads: int
) -> tuple[int, float]:
    """The number of threads for a batch, and the seconds that it takes with them."""
    alone_s = _shortest(run, size, 1)
    n_threads = max(1, min(max_threads, int(alone_s / WORK_PER_THREAD_S)))
    return n_threads, alone_s if n_threads == 1 else _shortest(run, size, n_threads)


def _shortest(run: Callable[[int, int], object], size: int, n_threads: int) -> float:
    tries_s: list[float] = []
    while len(tries_s) < _N_TRIES and sum(tries_s) < LONGEST_BATCH_S:
        tries_s.append(_time(run, size, n_threads))
    return min(tries_s)


def _time(run: Callable[[int, int], object], size: int, n_threads: int) -> float:
    began = time.perf_counter()
    run(size, n_threads)
    return time.perf_counter() - began
