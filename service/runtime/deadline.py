"""Until when a request has to have its answer. Needs no torch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineExceeded


class Deadline:
    """Begins when it is made, on an event loop.

    Parameters
    ----------
    limit_s : float
        Seconds from now.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ends_at = asyncio.get_running_loop().time() + limit_s

    @asynccontextmanager
    async def keep(self) -> AsyncIterator[None]:
        """Give a block up that is not done in time.

        Raises
        ------
        DeadlineExceeded
            It was not.
        """
        try:
            async with asyncio.timeout_at(self._ends_at):
                yield
        except TimeoutError:
            raise DeadlineExceeded(
                f"there was no result within {self._limit_s:g} s; try again later"
            ) from None
