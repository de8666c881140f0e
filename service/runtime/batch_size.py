"""Measures the batch size with the least time per image. Needs no torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

LONGEST_BATCH_S = 0.25  # a larger batch would make those that wait for it wait too long
_GOOD_ENOUGH = 1.05
_N_TRIES = 3


def best_batch_size(run: Callable[[int], object], sizes: Sequence[int]) -> int:
    """Find the smallest batch size within 5% of the least time per image.

    Parameters
    ----------
    run : callable
        Does a batch of as many images as it is told.
    sizes : sequence of int
        To be tried in their order, ascending, until a batch takes too long or is slower.
    """
    per_image_s: dict[int, float] = {}
    for size in sizes:
        batch_s = _shortest(run, size)
        if per_image_s and batch_s > LONGEST_BATCH_S:
            break
        per_image_s[size] = batch_s / size
        if per_image_s[size] > min(per_image_s.values()) * _GOOD_ENOUGH:
            break
    best_s = min(per_image_s.values())
    return next(size for size, s in per_image_s.items() if s <= best_s * _GOOD_ENOUGH)


def _shortest(run: Callable[[int], object], size: int) -> float:
    tries_s: list[float] = []
    while len(tries_s) < _N_TRIES and sum(tries_s) < LONGEST_BATCH_S:
        tries_s.append(_time(run, size))
    return min(tries_s)


def _time(run: Callable[[int], object], size: int) -> float:
    began = time.perf_counter()
    run(size)
    return time.perf_counter() - began
