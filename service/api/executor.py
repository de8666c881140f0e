"""Where images are decoded and answers rendered: small ones at once, large ones on a few threads.

To hand work to a thread and back takes longer than a small image does; a large one would hold up
all other requests, and many at once would take gigabytes.
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

N_THREADS = 4  # an image of 40 million pixels takes up to 0.6 GB while it is decoded
MAX_WAITING = 256


class Threads:
    """A few threads for large work.

    Parameters
    ----------
    n_threads : int
        How many.
    max_waiting : int
        What comes beyond waits, if no more than so many wait already.
    """

    def __init__(self, n_threads: int = N_THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._limiter = anyio.CapacityLimiter(n_threads)
        self._max_waiting = max_waiting

    async def run(
        self,
        is_small: bool,
        deadline: Deadline,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function, here if that is small work, or on a thread.

        Raises
        ------
        QueueFull
            Too much waits for a thread already.
        DeadlineExceeded
            It was not done in time; a call that has begun ends by itself.
        """
        if is_small:
            return function(*args, **kwargs)
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise QueueFull(
                f"{self._max_waiting} large images or answers wait already; try again in a second",
                headers={"Retry-After": "1"},
            )
        call = partial(function, *args, **kwargs)
        async with deadline.keep():
            return await anyio.to_thread.run_sync(
                call, limiter=self._limiter, abandon_on_cancel=True
            )
