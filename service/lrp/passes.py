"""Computations that pause between their passes through a network. Needs no torch.

Whoever drives one may do other work at a pause, or close the generator to cancel it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Pause(Enum):
    """Where a computation pauses."""

    BETWEEN = "between passes"
    WITHIN = "within a pass"  # the activations of its forward pass are in memory


Passes = Generator[Pause, None, T]


def finish(passes: Passes[T]) -> T:
    """Run a computation to its end, without a pause."""
    while True:
        try:
            next(passes)
        except StopIteration as end:
            result: T = end.value
            return result


def before_each(passes: Passes[T], prepare: Callable[[], None]) -> Passes[T]:
    """Call `prepare` before a computation begins, and after each pause: others ran meanwhile."""
    while True:
        prepare()
        try:
            pause = next(passes)
        except StopIteration as end:
            result: T = end.value
            return result
        yield pause
