"""Runs blocking work: small work inline, larger work on a few threads.

A hop to a thread takes longer than small work does, and larger work would block the event loop. A
thread cannot be killed, so what it runs has to be bounded in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

from service.errors import QueueFull
from service.runtime.deadline import Deadline

P = ParamSpec("P")
T = TypeVar("T")

# work of this size takes about 0.3 ms
SMALL_BYTES = 1 << 16  # to hash, to parse, or to compress as a picture of one byte a pixel
SMALL_VALUES = 1 << 14  # pixels to decode, or numbers to write
N_THREADS = 4
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
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="executor")
        self._n_threads, self._max_waiting = n_threads, max_waiting
        self._n_calls = 0  # that run or wait

    @property
    def n_waiting(self) -> int:
        """Number of calls that wait for a thread."""
        return max(0, self._n_calls - self._n_threads)

    async def run(
        self,
        is_inline: bool,
        deadline: Deadline,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function inline, which is for small work, or on a thread.

        When it is cancelled, a call that waits is never run; one that runs keeps its thread until
        it ends.

        Raises
        ------
        QueueFull
            Too many calls wait for a thread.
        DeadlineExceeded
            The deadline passed.
        """
        if is_inline:
            return function(*args, **kwargs)
        if self.n_waiting >= self._max_waiting:
            raise QueueFull(
                f"{self._max_waiting} images or responses are waiting already; try again in 1 s",
                headers={"Retry-After": "1"},
            )
        async with deadline.enforce():
            return await asyncio.wrap_future(self._submit(partial(function, *args, **kwargs)))

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        loop = asyncio.get_running_loop()
        self._n_calls += 1

        def finish(future: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop may be closed
                loop.call_soon_threadsafe(self._finish)

        future = self._threads.submit(call)
        future.add_done_callback(finish)
        return future

    def _finish(self) -> None:
        self._n_calls -= 1
