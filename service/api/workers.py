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

P = ParamSpec("P")
T = TypeVar("T")

N_THREADS = 4  # an image of 40 million pixels takes up to 0.6 GB while it is decoded


class Workers:
    """A few threads for large work.

    Parameters
    ----------
    n_threads : int
        How many; what comes beyond waits.
    """

    def __init__(self, n_threads: int = N_THREADS) -> None:
        self._limiter = anyio.CapacityLimiter(n_threads)

    async def run(
        self, is_small: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function, here if that is small work, or on a thread."""
        if is_small:
            return function(*args, **kwargs)
        call = partial(function, *args, **kwargs)
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)
