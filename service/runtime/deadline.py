"""The deadline of a request: one point in time for all that is done for it. Needs no torch."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineExceeded, ServiceError


class Deadline:
    """The time by which a request has to be answered; it starts when it is made, in an event loop.

    Parameters
    ----------
    limit_s : float
        Seconds from the start.
    started_at : float, optional
        Time of the event loop's clock, in seconds; by default now.
    """

    def __init__(self, limit_s: float, started_at: float | None = None) -> None:
        self._limit_s = limit_s
        now = asyncio.get_running_loop().time
        self._started_at = now() if started_at is None else started_at

    def at_most(self, limit_s: float) -> Deadline:
        """Shorten the deadline to that many seconds from the same start."""
        return Deadline(limit_s, self._started_at) if limit_s < self._limit_s else self

    @asynccontextmanager
    async def enforce(
        self, limit_s: float = math.inf, error: ServiceError | None = None
    ) -> AsyncIterator[None]:
        """Cancel a block that still runs at the deadline.

        Parameters
        ----------
        limit_s : float
            A limit of this block, in seconds since the start of the request too.
        error : ServiceError, optional
            Raised at that limit, if it does not come after the deadline.

        Raises
        ------
        DeadlineExceeded
            The deadline has passed.
        """
        timeout = asyncio.timeout_at(self._started_at + min(limit_s, self._limit_s))
        try:
            async with timeout:
                yield
        except TimeoutError:
            if not timeout.expired():  # it was raised inside of the block
                raise
            raise error if error and limit_s <= self._limit_s else self._exceeded() from None

    def _exceeded(self) -> DeadlineExceeded:
        limit = _decimal(self._limit_s)
        return DeadlineExceeded(
            f"there was no result within {limit} s of the request; try again later"
        )


def _decimal(seconds: float) -> str:
    """Seconds without an exponent, to a microsecond."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
