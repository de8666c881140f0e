"""Runs blocking work: small work inline, large work on a few threads.

A hop to a thread takes longer than decoding a small image; a large image would block the event
loop, and many at once would take gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from service.errors import QueueFull
from service.runtime.deadline import Deadline

P = ParamSpec("P")
T = TypeVar("T")

# work of this size takes about 0.3 ms
SMALL_BYTES = 1 << 16  # to hash, to parse, or to compress as a picture of one byte a pixel
SMALL_VALUES = 1 << 14  # pixels to decode, or numbers to write
N_THREADS = 4  # an image of 40 million pixels takes up to 0.6 GB while it is decoded
MAX_WAITING = 256


def is_small(n_bytes: int, n_values: int = 0) -> bool:
    """Whether work is small enough for the event loop, which serves no other request meanwhile.

    Parameters
    ----------
    n_bytes : int
        Bytes to hash, to parse or to compress.
    n_values : int
        Pixels to decode, or numbers to write.
    """
    return n_bytes <= SMALL_BYTES and n_values <= SMALL_VALUES


class Executor:
    """A bounded pool of threads with a bounded queue.

    Parameters
    ----------
    n_threads : int
        Size of the pool.
    max_waiting : int
        Calls that may wait for a thread; more are refused.
    """

    def __init__(self, n_threads: int = N_THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._limiter = anyio.CapacityLimiter(n_threads)
        self._max_waiting = max_waiting

    @property
    def n_waiting(self) -> int:
        """Number of calls that wait for a thread."""
        return self._limiter.statistics().tasks_waiting

    async def run(
        self,
        is_inline: bool,
        deadline: Deadline,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function inline, which is for small work, or on a thread.

        Raises
        ------
        QueueFull
            Too many calls wait for a thread.
        DeadlineExceeded
            The deadline passed; a call that is running is abandoned and ends by itself.
        """
        if is_inline:
            return function(*args, **kwargs)
        if self.n_waiting >= self._max_waiting:
            raise QueueFull(
                f"{self._max_waiting} images or responses are waiting already; try again in 1 s",
                headers={"Retry-After": "1"},
            )
        call = partial(function, *args, **kwargs)
        async with deadline.enforce():
            return await anyio.to_thread.run_sync(
                call, limiter=self._limiter, abandon_on_cancel=True
            )
